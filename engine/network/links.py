"""Links, addresses and routes: the few rtnetlink requests that container networks need.

Each function returns a `Message` to send (so that several go in one system call) or reads a dump.
Names as in ``linux/if_link.h``, ``linux/if_addr.h``, ``linux/rtnetlink.h`` and rtnetlink(7).
"""

from __future__ import annotations

import errno
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from pymachine.engine.network.netlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Message,
    Netlink,
    attribute,
    attributes,
    number,
    text,
)

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_GETADDR, RTM_NEWROUTE, RTM_GETROUTE = 20, 22, 24, 26
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_PROTINFO = 1, 3, 4, 10, 12
IFLA_LINKINFO, IFLA_NET_NS_PID = 18, 19
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFLA_BRPORT_MODE = 4
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST = 1, 2, 4
RTA_DST, RTA_GATEWAY = 1, 5
IFF_UP = 1
AF_BRIDGE = 7
NLA_F_NESTED = 0x8000
RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST = 254, 3, 0, 1

_IFINFO = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_IFADDR = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")  # rtmsg: family, dst len, src len, tos, table, protocol, scope, type, flags


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface as the kernel lists it."""

    index: int
    name: str
    up: bool
    mtu: int
    master: int
    """Index of the bridge it is a port of; 0 for none."""
    mac: str
    kind: str
    """``bridge``, ``veth``, …; empty for physical ones."""


def mac_bytes(mac: str) -> bytes:
    """Six bytes of ``02:42:ac:11:00:02``; raises `ValueError` for anything else."""
    data = bytes.fromhex(mac.replace(":", "").replace("-", ""))
    if len(data) != 6:
        raise ValueError(f"invalid MAC address: {mac}")
    return data


def make_bridge(name: str, mac: str, mtu: int) -> Message:
    """A bridge, up. Its own MAC is fixed: else it would change with the ports that come and go."""
    info = attribute(IFLA_LINKINFO | NLA_F_NESTED, text(IFLA_INFO_KIND, "bridge"))
    body = _IFINFO.pack(0, 0, 0, IFF_UP, IFF_UP) + text(IFLA_IFNAME, name) + info
    body += attribute(IFLA_ADDRESS, mac_bytes(mac)) + number(IFLA_MTU, mtu)
    return Message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, f"make the bridge {name}", (errno.EEXIST,))


def make_veth(name: str, bridge: int, mtu: int, peer: str, peer_mac: str, pid: int) -> Message:
    """A veth pair: *name* up and a port of *bridge*, its peer born in the network namespace of process *pid*.

    Making the peer in place matters: moving a link between namespaces makes the kernel wait for a grace period.
    """
    other = _IFINFO.pack(0, 0, 0, 0, 0) + text(IFLA_IFNAME, peer) + number(IFLA_MTU, mtu)
    other += attribute(IFLA_ADDRESS, mac_bytes(peer_mac)) + number(IFLA_NET_NS_PID, pid)
    data = attribute(IFLA_INFO_DATA | NLA_F_NESTED, attribute(VETH_INFO_PEER, other))
    info = attribute(IFLA_LINKINFO | NLA_F_NESTED, text(IFLA_INFO_KIND, "veth") + data)
    body = _IFINFO.pack(0, 0, 0, IFF_UP, IFF_UP) + text(IFLA_IFNAME, name)
    body += number(IFLA_MTU, mtu) + number(IFLA_MASTER, bridge) + info
    return Message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, f"make the interface {peer} of process {pid}")


def set_up(index: int) -> Message:
    """The link *index*, up."""
    return Message(RTM_NEWLINK, 0, _IFINFO.pack(0, 0, index, IFF_UP, IFF_UP), f"bring link {index} up")


def set_master(index: int, master: int) -> Message:
    """The link *index*, a port of the bridge *master*."""
    body = _IFINFO.pack(0, 0, index, 0, 0) + number(IFLA_MASTER, master)
    return Message(RTM_NEWLINK, 0, body, f"make link {index} a port of link {master}")


def set_hairpin(index: int) -> Message:
    """Let the bridge port *index* send frames back where they came from (a container calling its own published
    port, when ``bridge-nf-call-iptables`` translates on the bridge)."""
    mode = attribute(IFLA_PROTINFO | NLA_F_NESTED, attribute(IFLA_BRPORT_MODE, b"\1"))
    return Message(RTM_SETLINK, 0, _IFINFO.pack(AF_BRIDGE, 0, index, 0, 0) + mode, f"set hairpin on link {index}")


def delete_link(name: str) -> Message:
    """No link *name* (a veth's peer goes with it); fine when there is none."""
    body = _IFINFO.pack(0, 0, 0, 0, 0) + text(IFLA_IFNAME, name)
    return Message(RTM_DELLINK, 0, body, f"delete the link {name}", (errno.ENODEV,))


def add_address(index: int, address: IPv4Interface) -> Message:
    """An IPv4 address with its broadcast address; fine when it is there."""
    body = _IFADDR.pack(socket.AF_INET, address.network.prefixlen, 0, 0, index)
    body += attribute(IFA_LOCAL, address.packed) + attribute(IFA_ADDRESS, address.packed)
    if address.network.prefixlen < 31:
        body += attribute(IFA_BROADCAST, address.network.broadcast_address.packed)
    return Message(
        RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body, f"set the address {address} on link {index}", (errno.EEXIST,)
    )


def add_default_route(gateway: IPv4Address) -> Message:
    """The default route by *gateway*; an existing default route stays."""
    body = _ROUTE.pack(socket.AF_INET, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST, 0)
    body += attribute(RTA_GATEWAY, gateway.packed)
    what = f"set the default route by {gateway}"
    return Message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, body, what, (errno.EEXIST,))


def list_links(netlink: Netlink) -> list[Link]:
    """All links of the socket's namespace."""
    found = []
    for payload in netlink.dump(RTM_GETLINK, _IFINFO.pack(0, 0, 0, 0, 0), "list the links"):
        _, _, index, flags, _ = _IFINFO.unpack_from(payload)
        attrs = attributes(payload[_IFINFO.size :])
        info = attributes(attrs.get(IFLA_LINKINFO, b""))
        found.append(
            Link(
                index=index,
                name=_string(attrs.get(IFLA_IFNAME, b"")),
                up=bool(flags & IFF_UP),
                mtu=int.from_bytes(attrs.get(IFLA_MTU, b""), "little"),
                master=int.from_bytes(attrs.get(IFLA_MASTER, b""), "little"),
                mac=attrs.get(IFLA_ADDRESS, b"").hex(":"),
                kind=_string(info.get(IFLA_INFO_KIND, b"")),
            )
        )
    return found


def list_addresses(netlink: Netlink) -> list[tuple[int, IPv4Interface]]:
    """All IPv4 addresses of the socket's namespace, each with its link's index."""
    found = []
    for payload in netlink.dump(RTM_GETADDR, _IFADDR.pack(socket.AF_INET, 0, 0, 0, 0), "list the addresses"):
        _, prefix, _, _, index = _IFADDR.unpack_from(payload)
        attrs = attributes(payload[_IFADDR.size :])
        raw = attrs.get(IFA_LOCAL, attrs.get(IFA_ADDRESS, b""))
        if len(raw) == 4:
            found.append((index, IPv4Interface((raw, prefix))))
    return found


def list_routes(netlink: Netlink) -> list[IPv4Network]:
    """Destinations of the unicast routes of the main table; default routes left out."""
    request = _ROUTE.pack(socket.AF_INET, 0, 0, 0, RT_TABLE_MAIN, 0, 0, RTN_UNICAST, 0)
    found = []
    for payload in netlink.dump(RTM_GETROUTE, request, "list the routes"):
        _, prefix, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(payload)
        destination = attributes(payload[_ROUTE.size :]).get(RTA_DST, b"")
        if table == RT_TABLE_MAIN and kind == RTN_UNICAST and prefix and len(destination) == 4:
            found.append(IPv4Network((destination, prefix)))
    return found


def _string(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")
