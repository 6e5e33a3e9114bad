"""The network controller's contract with the container service."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class PortBinding:
    """One published port."""

    container_port: int
    protocol: str
    """``tcp``, ``udp`` or ``sctp``."""
    host_ip: str = ""
    """Empty: every address."""
    host_port: int = 0
    """0: any free one."""


@dataclass(slots=True)
class Endpoint:
    """A container's place in one network; plain data, kept in the container's document."""

    network_name: str
    network_id: str
    endpoint_id: str
    ip_address: str = ""
    prefix_length: int = 0
    gateway: str = ""
    mac_address: str = ""
    aliases: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()
    """What the embedded DNS answers for (user-defined networks): aliases, host name, short id."""
    dns_servers: tuple[str, ...] = ()
    """What it asks for other names (``--dns``); empty: the host's."""
    ipv6_address: str = ""
    ipv6_prefix_length: int = 0
    ipv6_gateway: str = ""


@dataclass(slots=True)
class Sandbox:
    """Everything about one running container's network; JSON-serialisable through ``dataclasses.asdict``."""

    container_id: str
    mode: str
    """``bridge``, ``host``, ``none``, ``container:<id>`` or a network's name."""
    endpoints: list[Endpoint] = field(default_factory=list)
    ports: list[PortBinding] = field(default_factory=list)
    """With the host ports that were really taken."""


class NetworkController(Protocol):
    """Networks, addresses and published ports."""

    async def start(self, live: list[Sandbox]) -> None:
        """Bring networks up (bridge, forwarding, rules), adopting what *live* containers hold."""
        ...

    async def allocate(
        self,
        container_id: str,
        mode: str,
        *,
        ports: list[PortBinding],
        hostname: str,
        mac_address: str = "",
        ipv4_address: str = "",
        aliases: tuple[str, ...] = (),
    ) -> Sandbox:
        """Take an address and the ports; raises `Conflict`/`EngineError` as Docker words it
        (``Bind for 0.0.0.0:80 failed: port is already allocated``), `NotFound` for an unknown network."""
        ...

    async def attach(self, sandbox: Sandbox, pid: int) -> None:
        """Wire the network namespace of process *pid* up: interfaces, addresses, routes, published ports."""
        ...

    async def release(self, sandbox: Sandbox) -> None:
        """Give back all that `allocate` and `attach` took; fine when called twice."""
        ...

    async def connect(
        self,
        sandbox: Sandbox,
        pid: int,
        network: str,
        *,
        hostname: str = "",
        ipv4_address: str = "",
        mac_address: str = "",
        aliases: tuple[str, ...] = (),
    ) -> Endpoint:
        """Join another network; *pid* is 0 before `attach`, which then makes all interfaces."""
        ...

    async def disconnect(self, sandbox: Sandbox, pid: int, network: str) -> None:
        """Leave a network; the ports move to another of the sandbox's networks, if there is one."""
        ...

    def rename(self, sandbox: Sandbox, old: str, new: str) -> None:
        """A running container is called *new* now: names and aliases in its networks follow."""
        ...

    def inspect(self, reference: str) -> dict[str, Any]:
        """A network by name or id as the Engine API shows it; raises `NotFound`."""
        ...

    def resolv_conf(self, sandbox: Sandbox, dns: list[str], search: list[str], options: list[str]) -> str:
        """The container's ``/etc/resolv.conf``."""
        ...

    def hosts(self, sandbox: Sandbox, hostname: str, domainname: str, extra: list[str]) -> str:
        """The container's ``/etc/hosts``; *extra* holds ``name:address`` entries."""
        ...

    def settings(self, sandbox: Sandbox | None, mode: str) -> dict[str, Any]:
        """The Engine API's ``NetworkSettings`` object for inspect (*sandbox* is None when not running)."""
        ...

    async def close(self) -> None:
        """Stop what runs in the daemon; containers' networks stay."""
        ...
