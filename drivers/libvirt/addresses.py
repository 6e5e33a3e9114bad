"""Find a running domain's address: by libvirt's leases, then the guest's agent, then the host's ARP table."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pymachine.drivers.libvirt.connection import libvirt

SOURCES = (
    ("VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE", "DHCP lease"),
    ("VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT", "guest agent"),
    ("VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP", "ARP"),
)

ARP_COMPLETE = 0x02
"""``ATF_COM`` (linux/if_arp.h): the entry has been answered for."""


@dataclass(frozen=True, slots=True)
class Found:
    """An address, and who told it; no address and why not, source by source, when nobody did."""

    address: str
    told_by: str


def find(domain: Any, macs: Sequence[str]) -> Found:
    """The address of the first of the cards *macs* that has one."""
    reasons = []
    for constant, name in SOURCES:
        try:
            interfaces = domain.interfaceAddresses(getattr(libvirt(), constant), 0)
        except libvirt().libvirtError as error:
            if name == "ARP" and is_local(domain.connect().getURI()) and (address := neighbour(macs)):
                return Found(address, name)
            reasons.append(f"{name}: {' '.join(str(error).split())}")
            continue
        if address := choose(interfaces or {}, macs):
            return Found(address, name)
        reasons.append(f"{name}: none")
    return Found("", "; ".join(reasons))


def is_local(uri: str) -> bool:
    """Whether a connection is to this computer's libvirt."""
    return not urlsplit(uri).netloc


def neighbour(macs: Sequence[str], table: Path = Path("/proc/net/arp")) -> str:
    """The IPv4 address of the first of *macs* in this computer's own ARP table (proc(5), ``/proc/net/arp``).

    libvirt 9.0 cannot read the table from newer kernels: it expects netlink messages of one length.
    """
    known: dict[str, str] = {}
    for line in table.read_text().splitlines()[1:]:
        address, _, flags, mac, *_ = line.split()
        if int(flags, 16) & ARP_COMPLETE and _usable(address):
            known[mac.lower()] = address
    return next((known[mac] for mac in macs if mac in known), "")


def choose(interfaces: dict[str, Any], macs: Sequence[str]) -> str:
    """From libvirt's answer, ``{name: {hwaddr, addrs: [{addr, prefix, type}]}}``: IPv4 before IPv6, and none that
    only the link or the guest itself can use."""
    for mac in macs:
        usable = [
            address
            for interface in interfaces.values()
            if (interface.get("hwaddr") or "").lower() == mac
            for entry in interface.get("addrs") or ()
            if (address := _usable(entry.get("addr", "")))
        ]
        if usable:
            return str(min(usable, key=lambda address: address.version))
    return ""


def _usable(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return None if address.is_link_local or address.is_loopback or address.is_unspecified else address
