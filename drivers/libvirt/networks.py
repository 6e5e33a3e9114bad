"""libvirt's networks: find, define and start them, and keep addresses for machines."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any
from xml.etree import ElementTree

from pymachine.drivers.libvirt.connection import libvirt, missing, told
from pymachine.drivers.libvirt.options import Nic
from pymachine.drivers.libvirt.templating import xml
from pymachine.machine.errors import DriverError, InvalidOption, MachineError, MissingRequirement

CANDIDATES = [f"192.168.{third}.0/24" for third in range(122, 150)] + [f"10.95.{third}.0/24" for third in range(64)]
"""libvirt's usual network first; then what routers, clouds and Docker seldom use."""


def find(connection: Any, name: str) -> Any | None:
    """A network by name, or ``None``."""
    try:
        return connection.networkLookupByName(name)
    except libvirt().libvirtError as error:
        if missing(error, "VIR_ERR_NO_NETWORK"):
            return None
        raise


def as_it_is(connection: Any, nic: Nic) -> str:
    """What there is of a network, in words."""
    network = find(connection, nic.source)
    if network is None:
        return f'the network "{nic.source}" is made when it is first needed'
    if not network.isActive():
        return f'the network "{nic.source}" is started when it is first needed'
    later = "" if network.autostart() else "; it will start with its host from the next create on"
    return f'the network "{nic.source}" is active on {network.bridgeName()}{later}'


def problems(connection: Any, nic: Nic, *, local: bool) -> Iterator[MachineError]:
    """Why a card cannot be connected."""
    if nic.kind == "network":
        yield from _network_problems(connection, nic)
    elif nic.kind in ("bridge", "macvtap") and local:
        yield from _device_problems(nic)
    if nic.mac:
        yield from _mac_problems(connection, nic)


def _mac_problems(connection: Any, nic: Nic) -> Iterator[MachineError]:
    for domain in connection.listAllDomains():
        with contextlib.suppress(libvirt().libvirtError):  # one that has just gone
            if nic.mac in domain.XMLDesc():
                yield InvalidOption(f'--libvirt-network: mac={nic.mac} is the card of the domain "{domain.name()}"')


def _network_problems(connection: Any, nic: Nic) -> Iterator[MachineError]:
    network = find(connection, nic.source)
    if network is None and nic.source != "default":
        known = ", ".join(sorted(other.name() for other in connection.listAllNetworks())) or "none"
        yield MissingRequirement(
            f'--libvirt-network: libvirt has no network "{nic.source}"; it has: {known}',
            hint="virsh net-list --all   shows them; only the network default is made when it is missing",
        )
    if network is not None and nic.address:
        try:
            check_free(network.XMLDesc(), nic, IPv4Interface(nic.address).ip)
        except DriverError as error:
            yield InvalidOption(f"--libvirt-network: {error}")


def _device_problems(nic: Nic) -> Iterator[MachineError]:
    """Of network devices of this computer, as this process sees them: ``/sys`` may be of another network namespace."""
    if nic.source not in (name for _, name in socket.if_nameindex()):
        yield MissingRequirement(
            f'--libvirt-network: this computer has no network device "{nic.source}"', hint="ip link   shows them"
        )
    elif nic.kind == "bridge" and _device_kind(nic.source) not in ("bridge", "openvswitch", ""):
        yield InvalidOption(f'--libvirt-network: "{nic.source}" is no bridge; macvtap:{nic.source} connects to it')


def _device_kind(name: str) -> str:
    """``bridge``, ``vlan``…, ``device`` for those of no such kind; empty where that cannot be told."""
    from pymachine.drivers.local import host

    if host.find("ip") is None:
        return ""
    shown = json.loads(host.run(["ip", "-json", "-details", "link", "show", "dev", name]).stdout or "[]")
    return str(shown[0].get("linkinfo", {}).get("info_kind", "device")) if shown else ""


def ensure(connection: Any, name: str, *, local: bool) -> None:
    """See that a network is active and starts with its host; the default one is made when it is missing."""
    with told(f'starting the network "{name}"'):
        network = find(connection, name)
        if network is None:
            _make(connection, name, local=local)
            return
        if not network.isActive():
            _start(network)
        if not network.autostart():
            network.setAutostart(1)


def _start(network: Any) -> None:
    try:
        network.create()
    except libvirt().libvirtError:
        if not network.isActive():  # else another create was quicker
            raise


def _make(connection: Any, name: str, *, local: bool) -> None:
    """Define the network on the first subnet with which it starts: libvirt itself refuses one that is in use."""
    taken = [*_subnets(connection), *(_routes() if local else ())]
    last: Exception | None = None
    for text in CANDIDATES:
        subnet = IPv4Network(text)
        if any(subnet.overlaps(other) for other in taken):
            continue
        try:
            network = connection.networkDefineXML(_network_xml(name, subnet))
            _start(network)
            network.setAutostart(1)
            return
        except libvirt().libvirtError as error:
            last = error
            found = find(connection, name)
            if found is not None and found.isActive():
                return
            if "already in use" not in str(error):
                if found is not None:
                    found.undefine()
                raise
    raise DriverError(f'no subnet is free for the network "{name}": {last or "all are routed elsewhere"}')


def _network_xml(name: str, subnet: IPv4Network) -> str:
    return xml(
        "network",
        name=name,
        gateway=subnet.network_address + 1,
        netmask=subnet.netmask,
        first=subnet.network_address + 2,
        last=subnet.broadcast_address - 1,
    )


def _subnets(connection: Any) -> Iterator[IPv4Network]:
    for network in connection.listAllNetworks():
        yield from (subnet.network for subnet in addresses(network.XMLDesc()))


def addresses(network_xml: str) -> list[IPv4Interface]:
    """The host's own IPv4 addresses on a network, from its description."""
    found = []
    for ip in ElementTree.fromstring(network_xml).findall("ip"):
        if ip.get("family", "ipv4") == "ipv4" and ip.get("address"):
            length = ip.get("netmask") or ip.get("prefix") or "24"
            found.append(IPv4Interface(f"{ip.get('address')}/{length}"))
    return found


def _routes() -> Iterator[IPv4Network]:
    """The networks to which this computer has routes, the default route aside."""
    from pymachine.drivers.local import host

    if host.find("ip") is None:
        return
    for route in json.loads(host.run(["ip", "-json", "-4", "route", "show", "table", "main"]).stdout or "[]"):
        try:
            network = IPv4Network(route["dst"])
        except (KeyError, ValueError):
            continue
        if network.prefixlen:
            yield network


def reserve(connection: Any, nic: Nic, name: str) -> None:
    """Have the network's DHCP server give the card its address, now and after a restart of the network."""
    address = IPv4Interface(nic.address).ip
    with told(f"keeping the address {address}"):
        network = find(connection, nic.source)
        if network is None:
            raise MissingRequirement(f'libvirt has no network "{nic.source}"')
        check_free(network.XMLDesc(), nic, address)
        if nic.mac not in reservations(network.XMLDesc()):
            _update(network, "VIR_NETWORK_UPDATE_COMMAND_ADD_LAST", nic, name, address)


def release(connection: Any, nic: Nic, name: str) -> None:
    """Give a kept address back; fine when there is none."""
    network = find(connection, nic.source)
    kept = reservations(network.XMLDesc()).get(nic.mac) if network is not None else None
    if network is not None and kept is not None:
        _update(network, "VIR_NETWORK_UPDATE_COMMAND_DELETE", nic, name, kept)


def _update(network: Any, command: str, nic: Nic, name: str, address: IPv4Address) -> None:
    module = libvirt()
    flags = module.VIR_NETWORK_UPDATE_AFFECT_CONFIG
    if network.isActive():
        flags |= module.VIR_NETWORK_UPDATE_AFFECT_LIVE
    text = xml("reservation", mac=nic.mac, name=name, address=address)
    network.update(getattr(module, command), module.VIR_NETWORK_SECTION_IP_DHCP_HOST, -1, text, flags)


def reservations(network_xml: str) -> dict[str, IPv4Address]:
    """Kept addresses by card."""
    hosts = ElementTree.fromstring(network_xml).findall("ip/dhcp/host")
    return {host.get("mac", ""): IPv4Address(host.get("ip", "")) for host in hosts if host.get("mac")}


def check_free(network_xml: str, nic: Nic, address: IPv4Address) -> None:
    """Raise `DriverError` for an address that does not belong to the network, or is another card's."""
    subnets = addresses(network_xml)
    if not any(address in subnet.network and address != subnet.ip for subnet in subnets):
        shown = ", ".join(str(subnet.network) for subnet in subnets)
        raise DriverError(f'the address {address} does not belong to the network "{nic.source}" ({shown})')
    for mac, kept in reservations(network_xml).items():
        if kept == address and mac != nic.mac:
            raise DriverError(f'the address {address} of the network "{nic.source}" is kept for another machine')
