"""Published ports: ``PortBindings``, ``ExposedPorts`` and ``PublishAllPorts`` of a create request."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.engine.network.base import PortBinding

_PROTOCOLS = ("tcp", "udp", "sctp")


def parse_port(key: str) -> tuple[int, str]:
    """``80/tcp`` or ``80`` as number and protocol; raises `InvalidArgument`."""
    number, _, protocol = key.partition("/")
    protocol = (protocol or "tcp").lower()
    if not (number.isascii() and number.isdigit() and 0 < int(number) < 65536) or protocol not in _PROTOCOLS:
        raise InvalidArgument(f"invalid port specification: {key!r}")
    return int(number), protocol


def bindings(config: Mapping[str, Any], host_config: Mapping[str, Any]) -> list[PortBinding]:
    """The ports to publish, of each range of host ports the first; raises `InvalidArgument` for malformed ones."""
    return next(choices(config, host_config))


def choices(config: Mapping[str, Any], host_config: Mapping[str, Any]) -> Iterator[list[PortBinding]]:
    """The ports to publish, as often as ranges of host ports (``8000-8010:80``) leave a choice."""
    asked = list(_asked(config, host_config))
    width = max((last - binding.host_port for binding, last in asked), default=0)
    for offset in range(width + 1):
        yield [replace(binding, host_port=min(binding.host_port + offset, last)) for binding, last in asked]


def _asked(config: Mapping[str, Any], host_config: Mapping[str, Any]) -> Iterator[tuple[PortBinding, int]]:
    """Each port with the last host port that it may be published on."""
    published = set()
    for key, targets in (host_config.get("PortBindings") or {}).items():
        port, protocol = parse_port(key)
        published.add((port, protocol))
        if targets is not None and not isinstance(targets, list):
            raise InvalidArgument(f"HostConfig.PortBindings[{key}] must be a list")
        for target in targets or [{}]:
            yield _binding(port, protocol, target or {}, key)
    if host_config.get("PublishAllPorts"):
        exposed = {parse_port(key) for key in config.get("ExposedPorts") or {}}
        for port, protocol in sorted(exposed - published):
            yield PortBinding(port, protocol), 0


def _binding(port: int, protocol: str, target: Any, key: str) -> tuple[PortBinding, int]:
    if not isinstance(target, dict):
        raise InvalidArgument(f"HostConfig.PortBindings[{key}] must be a list of objects")
    address = str(target.get("HostIp") or "")
    if address:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise InvalidArgument(f"invalid IP address: {address}") from None
    first, last = _host_ports(str(target.get("HostPort") or ""), key)
    return PortBinding(port, protocol, address, first), last


def _host_ports(text: str, key: str) -> tuple[int, int]:
    """``8000`` or ``8000-8010`` as its first and last port; 0 for any free one."""
    first, _, last = (text or "0").partition("-")
    try:
        low, high = int(first), int(last or first)
    except ValueError:
        low, high = -1, -1
    if not 0 <= low <= high < 65536:
        raise InvalidArgument(f"invalid host port {text!r} for {key}")
    return low, high
