"""How the engine's networks are to be: the daemon's network options, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

DEFAULT_POOLS: tuple[tuple[str, int], ...] = tuple((f"172.{second}.0.0/16", 16) for second in range(17, 32)) + (
    ("192.168.0.0/16", 20),
)
"""Where networks without a subnet get one: (pool, prefix length of each network). Docker's own defaults."""


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """The daemon's network options; names follow dockerd's ``daemon.json``."""

    bridge: str = "docker0"
    """The default bridge's link name; ours alone, made when missing. Names the firewall chains, too."""
    bip: str = ""
    """The default bridge's address with prefix (``172.17.0.1/16``). Empty: a free subnet of the pools."""
    fixed_cidr: str = ""
    """The part of that subnet to give addresses from; empty: all of it."""
    mtu: int = 1500
    """Bytes."""
    iptables: bool = True
    """Keep firewall rules. Without them nothing is translated: published ports go by the user-land forwarder."""
    ip_forward: bool = True
    """Turn ``net.ipv4.ip_forward`` on when it is off."""
    userland_proxy: bool = True
    """Forward in user space what no rule catches: connections to IPv6 addresses of the host, and all of them when
    someone has flushed the rules."""
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_opts: tuple[str, ...] = ()
    default_address_pools: tuple[tuple[str, int], ...] = DEFAULT_POOLS
    default_bind_ip: str = ""
    """The host address to publish on when none is asked for; empty: all of them."""

    def pools(self) -> list[tuple[IPv4Network, int]]:
        """The address pools; raises `ValueError` for one that is malformed."""
        return [(IPv4Network(base), size) for base, size in self.default_address_pools]
