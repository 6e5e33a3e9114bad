"""Snapshots of machines: inside their qcow2 disks, of a running one with its memory; with UEFI, copies of the disks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

from pymachine.drivers.base import Snapshot
from pymachine.drivers.libvirt.connection import libvirt, missing, told
from pymachine.drivers.libvirt.copies import Copies
from pymachine.drivers.libvirt.domains import Names
from pymachine.drivers.libvirt.storage import Storage
from pymachine.drivers.libvirt.templating import xml
from pymachine.machine.errors import DriverError


class Inside:
    """The snapshots of one machine, kept by libvirt inside its disks."""

    def __init__(self, domain: Any) -> None:
        self._domain = domain

    def listed(self) -> list[Snapshot]:
        """All, the oldest first."""
        with told("listing the snapshots"):
            found = [_read(snapshot.getXMLDesc()) for snapshot in self._domain.listAllSnapshots()]
        return sorted(found, key=lambda snapshot: snapshot.created)

    def create(self, name: str) -> None:
        """Keep the state now, of a running machine with its memory."""
        if _find(self._domain, name) is not None:
            raise DriverError(f'there is a snapshot "{name}" already')
        with told(f'making the snapshot "{name}"'):
            self._domain.snapshotCreateXML(xml("snapshot", name=name, disks=_disks(self._domain)))

    def restore(self, name: str) -> None:
        """Bring that state back."""
        snapshot = _require(self._domain, name)
        with told(f'restoring the snapshot "{name}"'):
            self._domain.revertToSnapshot(snapshot)

    def remove(self, name: str) -> None:
        """Forget that state."""
        snapshot = _require(self._domain, name)
        with told(f'removing the snapshot "{name}"'):
            snapshot.delete()


def of(domain: Any, storage: Storage, names: Names) -> Inside | Copies:
    """A machine's snapshots, by the way in which its host can keep them."""
    flash = ElementTree.fromstring(domain.XMLDesc()).find("os/loader[@type='pflash']") is not None
    uefi = ElementTree.fromstring(domain.XMLDesc()).find("os[@firmware='efi']") is not None
    return Copies(storage, names, domain) if flash or uefi else Inside(domain)


def _find(domain: Any, name: str) -> Any | None:
    try:
        return domain.snapshotLookupByName(name)
    except libvirt().libvirtError as error:
        if missing(error, "VIR_ERR_NO_DOMAIN_SNAPSHOT"):
            return None
        raise


def _require(domain: Any, name: str) -> Any:
    snapshot = _find(domain, name)
    if snapshot is None:
        raise DriverError(f'there is no snapshot "{name}"')
    return snapshot


def _disks(domain: Any) -> list[dict[str, str]]:
    """Every disk; those that cannot be written to are left out of the snapshot."""
    found = []
    for disk in ElementTree.fromstring(domain.XMLDesc()).findall("devices/disk"):
        target = disk.find("target")
        if target is not None:
            kind = "no" if disk.find("readonly") is not None else "internal"
            found.append({"device": target.get("dev", ""), "kind": kind})
    return found


def _read(text: str) -> Snapshot:
    root = ElementTree.fromstring(text)
    at = datetime.fromtimestamp(int(root.findtext("creationTime") or 0), UTC)
    running = root.findtext("state") in ("running", "paused")
    return Snapshot(root.findtext("name") or "", at.strftime("%Y-%m-%dT%H:%M:%SZ"), running)
