"""Find a running domain's address: by libvirt's leases, then the guest's agent, then the host's ARP table."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pymachine.drivers.libvirt.connection import libvirt

SOURCES = (
    ("VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE", "DHCP lease"),
    ("VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT", "guest agent"),
    ("VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP", "ARP"),
)


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
            reasons.append(f"{name}: {' '.join(str(error).split())}")
            continue
        if address := choose(interfaces or {}, macs):
            return Found(address, name)
        reasons.append(f"{name}: none")
    return Found("", "; ".join(reasons))


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
