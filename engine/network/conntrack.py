"""Forgets udp flows that the kernel would keep leading the wrong way.

Address translation is decided once a flow, and a udp flow lives as long as its client keeps sending. A client
that sent before a port was published, or whose container has been replaced, would never reach the new one.
Names from ``linux/netfilter/nfnetlink_conntrack.h``. All functions block.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from pymachine.engine.network.links import list_addresses
from pymachine.engine.network.netlink import Message, Netlink, attribute, attributes

_NETLINK_NETFILTER = 12
_CT_GET, _CT_DELETE = 1 << 8 | 1, 1 << 8 | 2  # NFNL_SUBSYS_CTNETLINK: IPCTNL_MSG_CT_GET, IPCTNL_MSG_CT_DELETE
CTA_TUPLE_ORIG, CTA_TUPLE_REPLY = 1, 2
CTA_TUPLE_IP, CTA_TUPLE_PROTO = 1, 2
CTA_IP_V4_SRC, CTA_IP_V4_DST = 1, 2
CTA_PROTO_NUM, CTA_PROTO_DST_PORT = 1, 3
_NESTED = 0x8000
_NFGENMSG = struct.pack("!BBH", socket.AF_INET, 0, 0)


@dataclass(frozen=True, slots=True)
class Flow:
    """One tracked flow, as far as it matters here."""

    protocol: int
    destination: str
    """Where its first packet was sent to."""
    port: int
    answered_by: str
    """Who answers: another address than *destination* where that was translated."""
    tuple_: bytes
    """Identifies it to the kernel."""


def forget_container(addresses: Collection[str]) -> None:
    """Forget the udp flows that lead to the containers that had *addresses*. Raises `OSError`."""
    _forget(lambda flow: flow.answered_by in addresses)


def forget_misled(ports: Mapping[tuple[str, int], str]) -> None:
    """Forget the udp flows to the host's (address, port)s that others than the container at the given address
    answer; address ``0.0.0.0`` is any of the host's. Raises `OSError`."""
    with Netlink() as netlink:
        own = {str(address.ip) for _, address in list_addresses(netlink)}

    def stale(flow: Flow) -> bool:
        local = flow.destination in own or flow.destination.startswith("127.")
        right = ports.get((flow.destination, flow.port)) or ports.get(("0.0.0.0", flow.port))
        return local and right is not None and flow.answered_by != right

    _forget(stale)


def _forget(stale: Callable[[Flow], bool]) -> None:
    with Netlink(_NETLINK_NETFILTER) as netlink:
        for flow in _flows(netlink):
            if flow.protocol == socket.IPPROTO_UDP and stale(flow):
                body = _NFGENMSG + attribute(CTA_TUPLE_ORIG | _NESTED, flow.tuple_)
                netlink.send(Message(_CT_DELETE, 0, body, "forget a udp flow", (errno.ENOENT,)))


def _flows(netlink: Netlink) -> Sequence[Flow]:
    found = []
    for payload in netlink.dump(_CT_GET, _NFGENMSG, "list the tracked flows"):
        attrs = attributes(payload[len(_NFGENMSG) :])
        original, reply = attrs.get(CTA_TUPLE_ORIG, b""), attributes(attrs.get(CTA_TUPLE_REPLY, b""))
        parts = attributes(original)
        protocol = attributes(parts.get(CTA_TUPLE_PROTO, b""))
        found.append(
            Flow(
                protocol=int.from_bytes(protocol.get(CTA_PROTO_NUM, b"")),
                destination=_address(attributes(parts.get(CTA_TUPLE_IP, b"")).get(CTA_IP_V4_DST, b"")),
                port=int.from_bytes(protocol.get(CTA_PROTO_DST_PORT, b"")),
                answered_by=_address(attributes(reply.get(CTA_TUPLE_IP, b"")).get(CTA_IP_V4_SRC, b"")),
                tuple_=original,
            )
        )
    return found


def _address(raw: bytes) -> str:
    return socket.inet_ntoa(raw) if len(raw) == 4 else ""
