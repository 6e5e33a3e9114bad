"""Network records: what is known of each network, one JSON file each."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)
_VERSION = 1

BRIDGE_NAME = "com.docker.network.bridge.name"
BRIDGE_MTU = "com.docker.network.driver.mtu"
BRIDGE_ICC = "com.docker.network.bridge.enable_icc"
BRIDGE_MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
BRIDGE_BIND = "com.docker.network.bridge.host_binding_ipv4"


@dataclass(slots=True)
class NetworkRecord:
    """One network. Addresses are text, as the API has them; ``subnet`` is empty for host and none."""

    name: str
    id: str
    driver: str
    created: str
    subnet: str = ""
    gateway: str = ""
    ip_range: str = ""
    aux_addresses: dict[str, str] = field(default_factory=dict)
    internal: bool = False
    attachable: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    ipam_options: dict[str, str] = field(default_factory=dict)
    predefined: bool = False
    found_bridge: bool = False
    """Its bridge was there before us (``--bridge`` with the administrator's own): never to be deleted."""

    @property
    def bridge(self) -> str:
        """The name of its bridge link."""
        return self.options.get(BRIDGE_NAME) or f"br-{self.id[:12]}"

    @property
    def network(self) -> IPv4Network:
        return IPv4Network(self.subnet)

    @property
    def interface(self) -> IPv4Interface:
        """The bridge's own address."""
        return IPv4Interface(f"{self.gateway}/{self.network.prefixlen}")

    @property
    def range(self) -> IPv4Network | None:
        return IPv4Network(self.ip_range) if self.ip_range else None

    @property
    def gateway_address(self) -> IPv4Address:
        return IPv4Address(self.gateway)

    @property
    def talking(self) -> bool:
        """Whether its containers may talk to each other (``enable_icc``)."""
        return self.options.get(BRIDGE_ICC, "true") != "false"

    @property
    def masquerading(self) -> bool:
        return self.options.get(BRIDGE_MASQUERADE, "true") != "false"

    @property
    def mtu(self) -> int:
        return int(self.options.get(BRIDGE_MTU) or 0)


def new_record(name: str, driver: str, **fields: Any) -> NetworkRecord:
    """A record with a fresh id and the time of now."""
    created = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return NetworkRecord(name=name, id=secrets.token_hex(32), driver=driver, created=created, **fields)


class RecordStore:
    """The records' folder. Every write is atomic and durable; a damaged file is left alone and logged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self) -> list[NetworkRecord]:
        """All readable records, oldest first."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                found.append(_parse(json.loads(path.read_text())))
            except (OSError, ValueError, TypeError, KeyError) as error:
                _log.error("network record %s is damaged and was left out: %s", path, error)
        return sorted(found, key=lambda record: record.created)

    def save(self, record: NetworkRecord) -> None:
        path = self._folder / f"{record.id}.json"
        temporary = path.with_suffix(".tmp")
        with open(temporary, "w", opener=_private) as file:
            json.dump({"version": _VERSION, **dataclasses.asdict(record)}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(self._folder)

    def delete(self, record: NetworkRecord) -> None:
        (self._folder / f"{record.id}.json").unlink(missing_ok=True)
        _sync_folder(self._folder)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parse(document: Any) -> NetworkRecord:
    version = document.pop("version")
    if version != _VERSION:
        raise ValueError(f"it has version {version}; this engine knows {_VERSION}")
    return NetworkRecord(**document)
