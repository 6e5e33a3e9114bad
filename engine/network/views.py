"""Networks and endpoints as the Engine API shows them (API 1.47): pure functions to JSON values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pymachine.engine.network.base import Endpoint, PortBinding, Sandbox
from pymachine.engine.network.records import NetworkRecord


def network(record: NetworkRecord, members: Iterable[tuple[str, str, Endpoint]] | None) -> dict[str, Any]:
    """A ``Network`` object. *members*: (container id, name, endpoint); None for lists, which show no containers."""
    config = {}
    if record.subnet:
        config = {"Subnet": record.subnet, "Gateway": record.gateway}
        if record.ip_range:
            config["IPRange"] = record.ip_range
    entry: dict[str, Any] = config | ({"AuxiliaryAddresses": record.aux_addresses} if record.aux_addresses else {})
    return {
        "Name": record.name,
        "Id": record.id,
        "Created": record.created,
        "Scope": "local",
        "Driver": record.driver,
        "EnableIPv6": False,
        "IPAM": {"Driver": "default", "Options": record.ipam_options or None, "Config": [entry] if entry else []},
        "Internal": record.internal,
        "Attachable": record.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {container: _member(name, endpoint) for container, name, endpoint in members or ()},
        "Options": record.options,
        "Labels": record.labels,
    }


def _member(name: str, endpoint: Endpoint) -> dict[str, str]:
    address = f"{endpoint.ip_address}/{endpoint.prefix_length}" if endpoint.ip_address else ""
    return {
        "Name": name,
        "EndpointID": endpoint.endpoint_id,
        "MacAddress": endpoint.mac_address,
        "IPv4Address": address,
        "IPv6Address": "",
    }


def ports(bindings: Iterable[PortBinding]) -> dict[str, list[dict[str, str]]]:
    """The ``Ports`` map of published ports."""
    found: dict[str, list[dict[str, str]]] = {}
    for binding in bindings:
        entry = {"HostIp": binding.host_ip, "HostPort": str(binding.host_port)}
        found.setdefault(f"{binding.container_port}/{binding.protocol}", []).append(entry)
    return found


def endpoint_settings(endpoint: Endpoint) -> dict[str, Any]:
    """An ``EndpointSettings`` object."""
    return {
        "IPAMConfig": None,
        "Links": None,
        "Aliases": list(endpoint.aliases) or None,
        "MacAddress": endpoint.mac_address,
        "DriverOpts": None,
        "NetworkID": endpoint.network_id,
        "EndpointID": endpoint.endpoint_id,
        "Gateway": endpoint.gateway,
        "IPAddress": endpoint.ip_address,
        "IPPrefixLen": endpoint.prefix_length,
        "IPv6Gateway": endpoint.ipv6_gateway,
        "GlobalIPv6Address": endpoint.ipv6_address,
        "GlobalIPv6PrefixLen": endpoint.ipv6_prefix_length,
        "DNSNames": list(endpoint.dns_names) or None,
    }


def settings(sandbox: Sandbox, key: str) -> dict[str, Any]:
    """A container's ``NetworkSettings``. The top-level address fields are those on the default bridge."""
    default = next((e for e in sandbox.endpoints if e.network_name == "bridge"), Endpoint("", "", ""))
    return {
        "Bridge": "",
        "SandboxID": sandbox_id(sandbox) if key else "",
        "SandboxKey": key,
        "Ports": ports(sandbox.ports),
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        "EndpointID": default.endpoint_id,
        "Gateway": default.gateway,
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "IPAddress": default.ip_address,
        "IPPrefixLen": default.prefix_length,
        "IPv6Gateway": "",
        "MacAddress": default.mac_address,
        "Networks": {endpoint.network_name: endpoint_settings(endpoint) for endpoint in sandbox.endpoints},
    }


def sandbox_id(sandbox: Sandbox) -> str:
    """The sandbox's id: a container has one at a time, so it is the container's."""
    return sandbox.container_id


def sandbox_key(folder: Path, container_id: str) -> Path:
    """Where a container's network namespace is found by others (``nsenter --net=…``)."""
    return folder / container_id[:12]


NameOf = Callable[[str], str]
"""From a container's id to its name."""
