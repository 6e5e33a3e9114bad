"""The engine's configuration: one frozen record, from dockerd's ``daemon.json`` keys and flags.

Sources, weakest first: defaults, the file, flags. A key in the file and a flag for it: the flag wins.
What is wrong is reported all at once, each line naming its key (`ConfigError`). Keys are those of dockerd(8).
"""

from __future__ import annotations

import ipaddress
import string
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pymachine.engine.runtime.spec import Rlimit

DEFAULT_HOST = "unix:///run/docker.sock"
DEFAULT_FILE = Path("/etc/pyengine/daemon.json")
_LINK_CHARACTERS = frozenset(string.ascii_letters + string.digits + "-_.")
LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")


class ConfigError(Exception):
    """The configuration cannot be used; ``problems`` has one line for each thing wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class AddressPool:
    """Where networks without a subnet of their own get one: subnets of *size* prefix bits out of *base*."""

    base: str
    size: int


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Everything that can be configured. Fields have daemon.json's names, with underscores."""

    hosts: tuple[str, ...] = (DEFAULT_HOST,)
    group: str = "docker"
    """Owner of unix sockets."""
    tls: bool = False
    tlsverify: bool = False
    tlscacert: Path | None = None
    tlscert: Path | None = None
    tlskey: Path | None = None
    insecure_tcp: bool = False
    """Serve TCP to clients without certificates: whoever reaches the port is root on this host."""
    data_root: Path = Path("/var/lib/pyengine")
    exec_root: Path = Path("/run/pyengine")
    pidfile: Path = Path("/run/pyengine.pid")
    storage_driver: str = ""
    """Empty: the best that works here."""
    labels: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] = ()
    registry_mirrors: tuple[str, ...] = ()
    log_driver: str = "local"
    log_opts: dict[str, str] = field(default_factory=dict)
    debug: bool = False
    log_level: str = "info"
    bip: str = ""
    fixed_cidr: str = ""
    default_address_pools: tuple[AddressPool, ...] = ()
    iptables: bool = True
    ip_forward: bool = True
    userland_proxy: bool = True
    bridge: str = "docker0"
    ip: str = ""
    """The host address to publish ports on by default; empty: all of them."""
    mtu: int = 1500
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_opts: tuple[str, ...] = ()
    default_ulimits: tuple[Rlimit, ...] = ()
    cgroup_parent: str = ""
    init: bool = False
    """Run an init process in containers that do not say."""
    shutdown_timeout: int = 15
    """Seconds that requests being handled may take when the engine stops. Containers live on."""
    warnings: tuple[str, ...] = ()
    """Keys that were ignored, one line each."""

    @property
    def level(self) -> str:
        """The log level in force: ``debug`` counts more than ``log_level``."""
        return "debug" if self.debug else self.log_level

    @property
    def label_map(self) -> dict[str, str]:
        """``labels`` as a mapping."""
        return dict(label.partition("=")[::2] for label in self.labels)


def check(config: EngineConfig) -> list[str]:
    """What is wrong with a configuration as a whole, one line each."""
    problems = [*_check_hosts(config), *_check_tls(config), *_check_network(config)]
    if config.log_level not in LOG_LEVELS:
        problems.append(f"log-level: {config.log_level!r} is none of {', '.join(LOG_LEVELS)}")
    if config.shutdown_timeout < 0:
        problems.append("shutdown-timeout: must not be negative")
    problems += [f"labels: {label!r} is not of the form name=value" for label in config.labels if label.find("=") < 1]
    return problems


def _check_hosts(config: EngineConfig) -> list[str]:
    problems = []
    if not config.hosts:
        problems.append("hosts: at least one is needed")
    for host in config.hosts:
        try:
            kind, _, _ = parse_host(host)
        except ValueError as error:
            problems.append(f"hosts: {error}")
            continue
        if kind == "tcp" and not config.tlsverify and not config.insecure_tcp:
            problems.append(
                f"hosts: {host} would let anyone who reaches it become root; "
                "use tlsverify, or --insecure-tcp if that is really meant"
            )
    return problems


def parse_host(host: str) -> tuple[str, str, int]:
    """Kind (``unix``, ``tcp``, ``fd``), path or address, and port of a ``hosts`` entry; raises `ValueError`."""
    scheme, found, rest = host.partition("://")
    if not found:
        scheme, rest = "tcp", host
    if scheme == "unix" and rest.startswith("/"):
        return "unix", rest, 0
    if scheme == "fd":
        return "fd", rest, 0
    if scheme != "tcp":
        raise ValueError(f"{host!r} is none of unix:///path, tcp://address:port, fd://")
    address, _, port = rest.rpartition(":")
    address = address.removeprefix("[").removesuffix("]")
    if not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{host!r} has no port (tcp://address:port)")
    return "tcp", address, int(port)


def _check_tls(config: EngineConfig) -> list[str]:
    if not (config.tls or config.tlsverify):
        return []
    needed = {"tlscert": config.tlscert, "tlskey": config.tlskey}
    if config.tlsverify:
        needed["tlscacert"] = config.tlscacert
    return [f"{key}: needed for TLS" for key, path in needed.items() if path is None]


def _check_network(config: EngineConfig) -> list[str]:
    problems = []
    if not 68 <= config.mtu <= 65535:
        problems.append(f"mtu: {config.mtu} is not between 68 and 65535")
    problems += _bad(config.bip, "bip", "an address with a prefix length, like 172.17.0.1/16", _interface)
    problems += _bad(config.fixed_cidr, "fixed-cidr", "a subnet, like 172.17.1.0/24", ipaddress.ip_network)
    problems += _bad(config.ip, "ip", "an IP address", ipaddress.ip_address)
    if not 0 < len(config.bridge) <= 15 or not set(config.bridge) <= _LINK_CHARACTERS:
        problems.append(f"bridge: {config.bridge!r} cannot be a link's name")
    for address in config.dns:
        problems += _bad(address, "dns", "an IP address", ipaddress.ip_address)
    for pool in config.default_address_pools:
        problems += _bad(pool.base, "default-address-pools", "a subnet", ipaddress.ip_network)
        if not 8 <= pool.size <= 30:
            problems.append(f"default-address-pools: size {pool.size} is not between 8 and 30")
    return problems


def _interface(text: str) -> object:
    if "/" not in text:
        raise ValueError(text)
    return ipaddress.ip_interface(text)


def _bad(text: str, key: str, expected: str, parser: Any) -> list[str]:
    try:
        if text:
            parser(text)
    except ValueError:
        return [f"{key}: {text!r} is not {expected}"]
    return []
