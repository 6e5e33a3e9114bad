"""Published ports: ``PortBindings``, ``ExposedPorts`` and ``PublishAllPorts`` of a create request."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
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
    """The ports to publish; raises `InvalidArgument` for malformed ones."""
    found: list[PortBinding] = []
    published = host_config.get("PortBindings") or {}
    for key, targets in published.items():
        port, protocol = parse_port(key)
        if targets is not None and not isinstance(targets, list):
            raise InvalidArgument(f"HostConfig.PortBindings[{key}] must be a list")
        for target in targets or [{}]:
            found.extend(_binding(port, protocol, target or {}, key))
    if host_config.get("PublishAllPorts"):
        have = {(item.container_port, item.protocol) for item in found}
        exposed = (parse_port(key) for key in config.get("ExposedPorts") or {})
        found.extend(PortBinding(port, protocol) for port, protocol in exposed if (port, protocol) not in have)
    return found


def _binding(port: int, protocol: str, target: Any, key: str) -> Iterator[PortBinding]:
    if not isinstance(target, dict):
        raise InvalidArgument(f"HostConfig.PortBindings[{key}] must be a list of objects")
    address = str(target.get("HostIp") or "")
    if address:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise InvalidArgument(f"invalid IP address: {address}") from None
    yield PortBinding(port, protocol, address, _host_port(str(target.get("HostPort") or ""), key))


def _host_port(text: str, key: str) -> int:
    """A host port; of a range (``8000-8010``) the first one, the controller knows no ranges."""
    if not text:
        return 0
    first = text.partition("-")[0]
    if not (first.isascii() and first.isdigit() and int(first) < 65536):
        raise InvalidArgument(f"invalid host port {text!r} for {key}")
    return int(first)
