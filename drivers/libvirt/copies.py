"""Snapshots of machines with UEFI: copies of their disks and of their NVRAM, beside them in the storage pool.

libvirt keeps no snapshots inside the disks of machines that have flash memory ("internal snapshots of a VM with pflash
based firmware are not supported"). The copies are made by the libvirt host, and have of each disk what differs from
the image that it is made over. A small volume, made last, says that a snapshot is whole, and what it is called.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

from pymachine.drivers.base import Snapshot
from pymachine.drivers.libvirt import domains
from pymachine.drivers.libvirt.connection import told
from pymachine.drivers.libvirt.domains import Names
from pymachine.drivers.libvirt.storage import Storage
from pymachine.machine.errors import DriverError

MARK = ".json"
MOST_MARK = 4096


class Copies:
    """The snapshots of one machine."""

    def __init__(self, storage: Storage, names: Names, domain: Any) -> None:
        self._storage = storage
        self._names = names
        self._domain = domain

    def listed(self) -> list[Snapshot]:
        """All that are whole, the oldest first."""
        with told("listing the snapshots"):
            return sorted(self._marks(), key=lambda snapshot: snapshot.created)

    def create(self, name: str) -> None:
        """Keep the state now, of a stopped machine."""
        if self._is_there(name):
            raise DriverError(f'there is a snapshot "{name}" already')
        if self._domain.isActive():
            raise DriverError(
                "a machine with UEFI can have snapshots only when it is stopped: libvirt cannot keep its flash memory",
                hint="pymachine stop MACHINE, then again",
            )
        self._check_nvram()
        with told(f'making the snapshot "{name}"'):
            self._storage.refresh()  # the NVRAM was not made by a call for volumes
            for volume, copy in self._volumes(name):
                if self._storage.volume(volume) is not None:
                    self._storage.copy(copy, volume, whole=False)
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            self._storage.upload(self._mark(name), json.dumps({"name": name, "created": now}).encode())

    def restore(self, name: str) -> None:
        """Bring that state back; a machine that runs is cut off, as what it did since is to be lost."""
        self._require(name)
        with told(f'restoring the snapshot "{name}"'):
            domains.destroy(self._domain)
            self._storage.refresh()
            for volume, copy in self._volumes(name):
                if self._storage.volume(copy) is not None:
                    self._storage.copy(volume, copy, whole=False)
                else:
                    self._storage.delete(volume)

    def remove(self, name: str) -> None:
        """Forget that state."""
        self._require(name)
        with told(f'removing the snapshot "{name}"'):
            self._storage.delete(self._mark(name))
            for _, copy in self._volumes(name):
                self._storage.delete(copy)

    def _check_nvram(self) -> None:
        """Machines of older versions of pymachine have it where no call for volumes reaches."""
        path = ElementTree.fromstring(self._domain.XMLDesc()).findtext("os/nvram") or ""
        if path.rpartition("/")[2] != self._names.nvram:
            raise DriverError(
                f"this machine's NVRAM ({path or 'of no file'}) is not in its storage pool, so it cannot be kept",
                hint="make the machine anew to have snapshots",
            )

    def _volumes(self, name: str) -> Iterator[tuple[str, str]]:
        """Each volume of the machine that changes, and its copy."""
        stem = self._stem(name)
        disks = ElementTree.fromstring(self._domain.XMLDesc()).findall("devices/disk")
        extras = sum(disk.find("readonly") is None for disk in disks) - 1
        yield self._names.disk, f"{stem}-disk.qcow2"
        for number in range(1, extras + 1):
            yield self._names.extra(number), f"{stem}-disk{number}.qcow2"
        yield self._names.nvram, f"{stem}-nvram.fd"

    def _stem(self, name: str) -> str:
        """A snapshot may be called what no file can be."""
        return f"{self._names.domain}-snapshot-{hashlib.sha256(name.encode()).hexdigest()[:16]}"

    def _mark(self, name: str) -> str:
        return f"{self._stem(name)}{MARK}"

    def _marks(self) -> Iterator[Snapshot]:
        for volume in self._storage.volumes():
            if volume.name().startswith(f"{self._names.domain}-snapshot-") and volume.name().endswith(MARK):
                mark = json.loads(self._storage.tail(volume.name(), MOST_MARK))
                yield Snapshot(mark["name"], mark["created"], running=False)

    def _is_there(self, name: str) -> bool:
        with told("looking for the snapshot"):
            return self._storage.volume(self._mark(name)) is not None

    def _require(self, name: str) -> None:
        if not self._is_there(name):
            raise DriverError(f'there is no snapshot "{name}"')
