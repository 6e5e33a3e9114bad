"""What happens when the controller starts: the default bridge's subnet is settled, bridges are made."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from pymachine.dockerapi.errors import EngineError, InvalidArgument
from pymachine.engine.network import records, wiring
from pymachine.engine.network.catalog import Catalog, default_subnet
from pymachine.engine.network.config import NetworkConfig
from pymachine.engine.network.ipam import AddressPool
from pymachine.engine.network.records import NetworkRecord


def own_bridges(catalog: Catalog, config: NetworkConfig) -> list[str]:
    """The names of all our bridges, the default one included before it has a subnet."""
    return [config.bridge, *(record.bridge for record in catalog.bridges())]


def settle_default_bridge(catalog: Catalog, config: NetworkConfig, view: wiring.HostView) -> None:
    """Decide the default bridge's subnet and keep it in its record.

    ``bip`` decides; else the address that the link already has; else what it had before, if no other network
    of the host has taken it; else a free subnet of the pools. Raises `InvalidArgument`, `EngineError`.
    """
    record = catalog.default
    if config.bridge in view.other_links:
        raise InvalidArgument(f"the link {config.bridge} exists and is no bridge: choose another name with --bridge")
    if not record.subnet:  # the first start
        record.found_bridge = config.bridge in view.bridges
    if config.bip:
        interface = _bip(config.bip)
    elif existing := view.bridges.get(config.bridge):
        interface = existing[0]
    else:
        others = [other.network for other in catalog.bridges() if other is not record]
        subnet, gateway = default_subnet(config, record, view.networks, others)
        interface = IPv4Interface(f"{gateway}/{subnet.prefixlen}")
    record.subnet, record.gateway = str(interface.network), str(interface.ip)
    record.ip_range = _fixed_range(config.fixed_cidr, interface.network)
    record.options = {
        "com.docker.network.bridge.default_bridge": "true",
        records.BRIDGE_ICC: "true",
        records.BRIDGE_MASQUERADE: "true",
        records.BRIDGE_BIND: config.default_bind_ip or "0.0.0.0",
        records.BRIDGE_NAME: config.bridge,
        records.BRIDGE_MTU: str(config.mtu),
    }
    catalog.keep(record)


def _bip(text: str) -> IPv4Interface:
    try:
        interface = IPv4Interface(text)
    except ValueError:
        raise InvalidArgument(f"invalid bip {text}: it must be an address with a prefix, as 172.17.0.1/16") from None
    if interface.ip in (interface.network.network_address, interface.network.broadcast_address):
        raise InvalidArgument(f"invalid bip {text}: it names the network, not an address in it")
    return interface


def _fixed_range(text: str, subnet: IPv4Network) -> str:
    if not text:
        return ""
    try:
        if (network := IPv4Network(text)).subnet_of(subnet):
            return str(network)
    except ValueError:
        pass
    raise InvalidArgument(f"invalid fixed-cidr {text}: it is no part of the bridge's subnet {subnet}")


def make_bridges(networks: Sequence[NetworkRecord], mtu: int) -> None:
    """Make what lacks of the networks' bridges; blocks. Raises `EngineError`."""
    for record in networks:
        try:
            wiring.make_bridge(record.bridge, record.interface, record.mtu or mtu)
        except OSError as error:
            raise EngineError(f"failed to set up network {record.name}: {error.strerror or error}") from error


def pool_of(record: NetworkRecord) -> AddressPool:
    """A new pool for a network, with what containers must not get kept out."""
    pool = AddressPool(record.network, record.gateway_address, record.range)
    for address in record.aux_addresses.values():
        pool.reserve(IPv4Address(address))
    return pool
