"""Bridges and container interfaces: what is done with links. All functions block; run them in a thread.

`plug_in` leaves its thread in the container's namespace: only call it through ``namespaces.run_in_thread``.
"""

from __future__ import annotations

import logging
import re
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

from pymachine.engine.network import links, namespaces
from pymachine.engine.network.netlink import Netlink

_log = logging.getLogger(__name__)
_OURS = re.compile(r"veth[0-9a-f]{11}\Z")
_SYSCTL = Path("/proc/sys/net")


@dataclass(frozen=True, slots=True)
class Plug:
    """One interface of a container."""

    endpoint_id: str
    bridge: str
    mtu: int
    mac: str
    address: IPv4Interface
    gateway: IPv4Address | None
    hairpin: bool = False

    @property
    def host_link(self) -> str:
        return host_link(self.endpoint_id)


def host_link(endpoint_id: str) -> str:
    """The name of the host's end of an endpoint's veth pair: 15 characters, the longest that a link can have."""
    return f"veth{endpoint_id[:11]}"


def make_bridge(name: str, address: IPv4Interface, mtu: int) -> None:
    """A bridge with this address, up; an existing one is kept as it is but for what lacks."""
    with Netlink() as netlink:
        netlink.send(links.make_bridge(name, "02:42:" + secrets.token_bytes(4).hex(":"), mtu))
        index = socket.if_nametoindex(name)
        netlink.send(links.set_up(index), links.add_address(index, address))
    # Connections from the host's 127.0.0.1 are translated to containers: see rules.py, also for what closes it.
    write_sysctl(f"ipv4/conf/{name}/route_localnet", "1")


def delete_links(names: Sequence[str]) -> None:
    """No such links any more. Slow: the kernel waits for a grace period for each."""
    with Netlink() as netlink:
        for name in names:
            netlink.send(links.delete_link(name))


def existing(names: Sequence[str]) -> list[str]:
    """Those of *names* that are links of the host."""
    present = {name for _, name in socket.if_nameindex()}
    return [name for name in names if name in present]


def plug_in(pid: int, plugs: Sequence[Plug], *, fresh: bool) -> None:
    """Make the interfaces of process *pid*'s namespace: ``eth0``… for a *fresh* one, else the next free names.

    All or nothing. Raises `OSError`. The calling thread ends up in that namespace, and must end itself.
    """
    path = f"/proc/{pid}/ns/net"
    taken = set() if fresh else set(namespaces.visit(path, _interface_names))
    names = _free_names(taken, len(plugs))
    with Netlink() as host:  # stays the host's, wherever this thread goes
        try:
            for plug, name in zip(plugs, names, strict=True):
                bridge = socket.if_nametoindex(plug.bridge)
                host.send(links.make_veth(plug.host_link, bridge, plug.mtu, name, plug.mac, pid))
                if plug.hairpin:
                    host.send(links.set_hairpin(socket.if_nametoindex(plug.host_link)))
            namespaces.enter(path)
            _configure(plugs, names)
        except BaseException:
            host.send(*(links.delete_link(plug.host_link) for plug in plugs))
            raise


def reconnect(bridge: str, names: Sequence[str]) -> None:
    """Make the links *names* ports of *bridge* again: it was deleted and made anew while they were up."""
    with Netlink() as host:
        master = socket.if_nametoindex(bridge)
        for name in names:
            host.send(links.set_master(socket.if_nametoindex(name), master))


def set_default_route(pid: int, gateway: IPv4Address) -> None:
    """Give process *pid*'s namespace a default route, if it has none."""

    def inside() -> None:
        with Netlink() as netlink:
            netlink.send(links.add_default_route(gateway))

    namespaces.visit(f"/proc/{pid}/ns/net", inside)


def _configure(plugs: Sequence[Plug], names: Sequence[str]) -> None:
    with Netlink() as inside:
        messages = [links.set_up(socket.if_nametoindex("lo"))]
        for plug, name in zip(plugs, names, strict=True):
            index = socket.if_nametoindex(name)
            write_sysctl(f"ipv6/conf/{name}/disable_ipv6", "1")
            messages += [links.set_up(index), links.add_address(index, plug.address)]
            if plug.gateway is not None:
                messages.append(links.add_default_route(plug.gateway))
        inside.send(*messages)


def _interface_names() -> list[str]:
    return [name for _, name in socket.if_nameindex()]


def _free_names(taken: set[str], count: int) -> list[str]:
    names: list[str] = []
    number = 0
    while len(names) < count:
        if (name := f"eth{number}") not in taken:
            names.append(name)
        number += 1
    return names


@dataclass(frozen=True, slots=True)
class HostView:
    """What the host's own network looks like."""

    networks: list[IPv4Network]
    """Subnets of its addresses and destinations of its routes."""
    bridges: dict[str, list[IPv4Interface]]
    """Addresses by bridge name."""
    strays: dict[str, list[str]]
    """By bridge name: the host's ends of veth pairs that look like ours."""
    other_links: set[str]
    """Names of the links that are no bridges."""


def look(skip: Sequence[str] = ()) -> HostView:
    """Look at the host; the bridges named in *skip* (our own) don't count among its networks."""
    with Netlink() as netlink:
        found = links.list_links(netlink)
        addresses = links.list_addresses(netlink)
        routes = links.list_routes(netlink)
    names = {link.index: link.name for link in found}
    own = [address.network for index, address in addresses if names.get(index) in skip]
    bridges = {link.name: [a for i, a in addresses if i == link.index] for link in found if link.kind == "bridge"}
    strays: dict[str, list[str]] = {}
    for link in found:
        if link.kind == "veth" and _OURS.match(link.name):
            strays.setdefault(names.get(link.master, ""), []).append(link.name)
    return HostView(
        networks=[a.network for i, a in addresses if names.get(i) not in skip] + [r for r in routes if r not in own],
        bridges=bridges,
        strays=strays,
        other_links={link.name for link in found if link.kind != "bridge"},
    )


def write_sysctl(name: str, value: str) -> None:
    """Set ``net/<name>`` in the calling thread's namespace; a kernel without it (no IPv6) is fine."""
    try:
        (_SYSCTL / name).write_text(value)
    except FileNotFoundError:
        pass
    except OSError as error:
        _log.warning("cannot set %s to %s: %s", _SYSCTL / name, value, error.strerror)


def turn_forwarding_on() -> None:
    """``net.ipv4.ip_forward``, left alone when it is on. Never turned off again: others may count on it."""
    if (_SYSCTL / "ipv4/ip_forward").read_text().strip() != "1":
        write_sysctl("ipv4/ip_forward", "1")
