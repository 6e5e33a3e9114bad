"""The networks there are: predefined and made by users, found by name or id, checked when made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from pymachine.dockerapi.errors import Conflict, Forbidden, InvalidArgument, NotFound, NotServed
from pymachine.engine.network import records
from pymachine.engine.network.config import NetworkConfig
from pymachine.engine.network.ipam import first_host, free_subnet
from pymachine.engine.network.records import NetworkRecord, RecordStore, new_record

PREDEFINED = ("bridge", "host", "none")
_LINK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}\Z")
_BAD_NAME = re.compile(r"[/\x00-\x1f\x7f]")
_HEX = re.compile(r"[0-9a-f]+\Z")


@dataclass(frozen=True, slots=True)
class NetworkRequest:
    """What ``POST /networks/create`` asks for, read and checked."""

    name: str
    driver: str = "bridge"
    subnet: str = ""
    gateway: str = ""
    ip_range: str = ""
    aux_addresses: dict[str, str] = field(default_factory=dict)
    internal: bool = False
    attachable: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    ipam_options: dict[str, str] = field(default_factory=dict)


def read_request(body: dict[str, Any]) -> NetworkRequest:
    """The API's JSON as a `NetworkRequest`; raises `InvalidArgument` or `NotServed`."""
    ipam = _object(body, "IPAM")
    configs = ipam.get("Config") or []
    if not isinstance(configs, list) or not all(isinstance(entry, dict) for entry in configs):
        raise InvalidArgument("IPAM.Config must be a list of objects")
    if body.get("EnableIPv6"):
        raise NotServed("IPv6 networks are not served by this engine")
    if ipam.get("Driver") not in (None, "", "default"):
        raise NotServed(f"only the default IPAM driver is served, not {ipam['Driver']!r}")
    if body.get("ConfigOnly") or body.get("Ingress") or _object(body, "ConfigFrom").get("Network"):
        raise NotServed("config-only and ingress networks are not served by this engine")
    if len(configs) > 1:
        raise InvalidArgument("bridge driver doesn't support multiple subnets")
    config = configs[0] if configs else {}
    return NetworkRequest(
        name=_text(body, "Name"),
        driver=_text(body, "Driver") or "bridge",
        subnet=_text(config, "Subnet"),
        gateway=_text(config, "Gateway"),
        ip_range=_text(config, "IPRange"),
        aux_addresses=_strings(config, "AuxiliaryAddresses"),
        internal=bool(body.get("Internal")),
        attachable=bool(body.get("Attachable")),
        labels=_strings(body, "Labels"),
        options=_strings(body, "Options"),
        ipam_options=_strings(ipam, "Options"),
    )


class Catalog:
    """All records. Its methods don't touch links or rules: the controller does."""

    def __init__(self, store: RecordStore, config: NetworkConfig) -> None:
        self._store = store
        self._config = config
        self._by_id: dict[str, NetworkRecord] = {}

    def load(self) -> None:
        """Read the records, and make those of the predefined networks that lack."""
        self._by_id = {record.id: record for record in self._store.load()}
        for name, driver in zip(PREDEFINED, ("bridge", "host", "null"), strict=True):
            if not any(record.predefined and record.name == name for record in self._by_id.values()):
                self.keep(new_record(name, driver, predefined=True))

    def keep(self, record: NetworkRecord) -> None:
        """Add or change a record, durably."""
        self._store.save(record)
        self._by_id[record.id] = record

    def hide(self, record: NetworkRecord) -> None:
        """Let nobody find a record any more; it is still on disk."""
        self._by_id.pop(record.id, None)

    def drop(self, record: NetworkRecord) -> None:
        """Remove a record; fine when it is gone."""
        self._store.delete(record)
        self._by_id.pop(record.id, None)

    def all(self) -> list[NetworkRecord]:
        return list(self._by_id.values())

    def bridges(self) -> list[NetworkRecord]:
        """The networks that have a bridge (and, once started, a subnet)."""
        return [record for record in self._by_id.values() if record.driver == "bridge" and record.subnet]

    @property
    def default(self) -> NetworkRecord:
        """The predefined ``bridge``."""
        return next(record for record in self._by_id.values() if record.predefined and record.name == "bridge")

    def find(self, reference: str) -> NetworkRecord:
        """By full id, name, or the beginning of an id; raises `NotFound`, or `InvalidArgument` if ambiguous."""
        if record := self._by_id.get(reference):
            return record
        if named := [record for record in self._by_id.values() if record.name == reference]:
            return named[0]
        matches = [r for r in self._by_id.values() if _HEX.match(reference) and r.id.startswith(reference)]
        if len(matches) > 1:
            raise InvalidArgument(f"network {reference} is ambiguous ({len(matches)} matches found based on ID prefix)")
        if not matches:
            raise NotFound(f"network {reference} not found")
        return matches[0]

    def draft(self, request: NetworkRequest, host_networks: Sequence[IPv4Network], links: set[str]) -> NetworkRecord:
        """A record for *request*, checked against the other networks and the host's; not yet kept."""
        self._check_name(request)
        bridge = request.options.get(records.BRIDGE_NAME, "")
        if bridge and (not _LINK_NAME.match(bridge) or bridge in links):
            raise InvalidArgument(f"cannot use {bridge!r} as the name of a bridge")
        if any(record.bridge == bridge for record in self.bridges()):
            raise Conflict(f"bridge name {bridge} already exists in network configuration")
        _check_mtu(request.options)
        subnet = self._subnet(request, host_networks)
        record = new_record(
            request.name,
            request.driver,
            subnet=str(subnet),
            gateway=str(_inside(request.gateway, subnet, "gateway") or first_host(subnet)),
            ip_range=request.ip_range,
            aux_addresses=request.aux_addresses,
            internal=request.internal,
            attachable=request.attachable,
            labels=request.labels,
            options=request.options,
            ipam_options=request.ipam_options,
        )
        _check_range(record)
        return record

    def _check_name(self, request: NetworkRequest) -> None:
        name = request.name
        if not name.strip() or len(name) > 255 or _BAD_NAME.search(name):
            raise InvalidArgument(f"invalid network name: {name!r}")
        if name in (*PREDEFINED, "default") or name.startswith("container:"):
            raise Forbidden(f"operation is not permitted on predefined {name} network")
        if any(record.name == name for record in self._by_id.values()):
            raise Conflict(f"network with name {name} already exists")
        if request.driver != "bridge":
            raise NotServed(f"networks of driver {request.driver!r} are not served by this engine, only bridge")

    def _subnet(self, request: NetworkRequest, host_networks: Sequence[IPv4Network]) -> IPv4Network:
        used = [record.network for record in self.bridges()]
        if not request.subnet:
            if request.gateway or request.ip_range:
                raise InvalidArgument("a gateway or an ip-range needs a subnet")
            return free_subnet(self._config.pools(), [*used, *host_networks])
        subnet = parse_subnet(request.subnet)
        if any(subnet.overlaps(other) for other in used):
            raise Forbidden("Pool overlaps with other one on this address space")
        return subnet


def parse_subnet(text: str) -> IPv4Network:
    """An IPv4 subnet that can hold a gateway and a container; raises `InvalidArgument`."""
    try:
        subnet = IPv4Network(text)
    except ValueError:
        raise InvalidArgument(f"invalid subnet {text}: it is not an IPv4 network such as 172.28.0.0/16") from None
    if subnet.prefixlen > 30 or subnet.prefixlen == 0:
        raise InvalidArgument(f"invalid subnet {text}: the prefix must be between 1 and 30")
    return subnet


def _check_range(record: NetworkRecord) -> None:
    if record.ip_range:
        try:
            inside = IPv4Network(record.ip_range).subnet_of(record.network)
        except ValueError:
            inside = False
        if not inside:
            raise InvalidArgument(f"invalid ip-range {record.ip_range}: it is no part of {record.subnet}")
    for address in record.aux_addresses.values():
        _inside(address, record.network, "auxiliary address")


def _check_mtu(options: dict[str, str]) -> None:
    mtu = options.get(records.BRIDGE_MTU, "")
    if mtu and not (mtu.isascii() and mtu.isdigit() and (mtu == "0" or 68 <= int(mtu) <= 65535)):
        raise InvalidArgument(f"invalid MTU: {mtu}")


def _inside(address: str, subnet: IPv4Network, what: str) -> IPv4Address | None:
    if not address:
        return None
    try:
        if (value := IPv4Address(address)) in subnet:
            return value
    except ValueError:
        pass
    raise InvalidArgument(f"invalid {what} {address}: it is no address of {subnet}")


def _object(body: dict[str, Any], key: str) -> dict[str, Any]:
    value = body.get(key) or {}
    if not isinstance(value, dict):
        raise InvalidArgument(f"{key} must be an object")
    return value


def _text(body: dict[str, Any], key: str) -> str:
    value = body.get(key) or ""
    if not isinstance(value, str):
        raise InvalidArgument(f"{key} must be a string")
    return value


def _strings(body: dict[str, Any], key: str) -> dict[str, str]:
    values = _object(body, key)
    if not all(isinstance(value, str) for value in values.values()):
        raise InvalidArgument(f"the values of {key} must be strings")
    return dict(values)


def default_subnet(
    config: NetworkConfig, record: NetworkRecord, host: Sequence[IPv4Network], others: Sequence[IPv4Network]
) -> tuple[IPv4Network, IPv4Address]:
    """The default bridge's subnet and gateway where ``bip`` does not say: what it had, if that is still free."""
    if record.subnet and not any(record.network.overlaps(other) for other in host):
        return record.network, record.gateway_address
    subnet = free_subnet(config.pools(), [*host, *others])
    return subnet, first_host(subnet)
