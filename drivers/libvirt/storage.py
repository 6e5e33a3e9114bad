"""Storage pools and the volumes of machines, all by libvirt's own calls, so that the pool may be on another computer.

An image is uploaded once a pool under the digest of its content. A small volume beside it, made after the upload,
says that it is whole; without it, the volume is one whose upload broke off.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from xml.etree import ElementTree

from pymachine.drivers.libvirt.connection import libvirt, missing, told
from pymachine.drivers.libvirt.options import Options
from pymachine.drivers.libvirt.templating import xml
from pymachine.machine.errors import DeadlineExceeded, DriverError, MissingRequirement

if TYPE_CHECKING:
    from pymachine.drivers.libvirt.images.library import VMImage

SYSTEM_FOLDER = "/var/lib/libvirt/images"
FOLDER_KINDS = ("dir", "fs", "netfs")
"""Pools whose volumes are files, which overlays need."""
BASE_PREFIX = "pymachine-"
WHOLE = ".whole"
BLOCK = 256 << 10
"""A stream's messages carry at most 256 KiB (libvirt, VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX)."""
BUSY_SECONDS = 60.0
STALLED_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Base:
    """An image in a pool."""

    path: str
    format: str
    capacity: int


class Storage:
    """One pool of a connection; `ensure` makes it if it is missing."""

    def __init__(self, connection: Any, options: Options) -> None:
        self._connection = connection
        self._options = options

    def find(self) -> Any | None:
        """The pool, or ``None``."""
        try:
            return self._connection.storagePoolLookupByName(self._options.pool)
        except libvirt().libvirtError as error:
            if missing(error, "VIR_ERR_NO_STORAGE_POOL"):
                return None
            raise

    def folder(self) -> str:
        """Where the pool is, or would be made."""
        if (pool := self.find()) is not None:
            return target_path(pool.XMLDesc())
        if self._options.pool_path:
            return self._options.pool_path
        if self._options.session:
            return str(Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "libvirt/images")
        name = self._options.pool
        return SYSTEM_FOLDER if name == "default" else f"{SYSTEM_FOLDER}/{name}"

    def ensure(self) -> Any:
        """The pool: defined, active, started with its host."""
        with told(f'preparing the storage pool "{self._options.pool}"'):
            pool = self.find() or self._make()
            if not pool.isActive():
                if not pool.autostart():
                    self._finish(pool)  # a create was killed when it had defined the pool
                self._start(pool)
        return pool

    def _make(self) -> Any:
        module = libvirt()
        try:
            pool = self._connection.storagePoolDefineXML(xml("pool", name=self._options.pool, path=self.folder()), 0)
        except module.libvirtError:
            if (pool := self.find()) is None:  # else another create was quicker
                raise
        self._finish(pool)
        return pool

    @staticmethod
    def _finish(pool: Any) -> None:
        with contextlib.suppress(libvirt().libvirtError):
            pool.build(0)  # makes the folder; refused when it is there
        pool.setAutostart(1)

    @staticmethod
    def _start(pool: Any) -> None:
        try:
            pool.create(0)
        except libvirt().libvirtError:
            if not pool.isActive():
                raise

    def volume(self, name: str) -> Any | None:
        """A volume by name, or ``None``."""
        pool = self.find()
        if pool is None or not pool.isActive():
            return None
        try:
            return pool.storageVolLookupByName(name)
        except libvirt().libvirtError as error:
            if missing(error, "VIR_ERR_NO_STORAGE_VOL"):
                return None
            raise

    def refresh(self) -> None:
        """Let libvirt see files that were not made by it, waiting for uploads of others."""
        pool = self.find()
        if pool is not None and pool.isActive():
            _patiently(lambda: pool.refresh(0))

    def upload(self, name: str, data: bytes, *, mode: str = "0600") -> str:
        """A small volume with *data*, in place of one of that name; its path on the libvirt host."""
        with told(f"writing the volume {name}"):
            self.delete(name)
            volume = self._make_volume(name, len(data), "raw", mode=mode)
            _send(self._connection, volume, io.BytesIO(data))
            return str(volume.path())

    def overlay(self, name: str, size: int, base: Base | None = None) -> str:
        """A disk that grows as it is used, over *base* or empty, made unless it is there; its path."""
        with told(f"making the disk {name}"):
            volume = self.volume(name)
            if volume is None:
                backing = {"backing": base.path, "backing_format": base.format} if base else {}
                volume = self._make_volume(name, size, "qcow2", **backing)
            return str(volume.path())

    def copy(self, name: str, original: str, *, whole: bool = True) -> str:
        """A volume with the content of another, in place of one that a crash left half copied; the copy is made where
        the pool is. It stands alone, or with *whole* false is made over what the original is made over. Its path."""
        with told(f"copying the volume {original}"):
            source = self.volume(original)
            if source is None:
                raise DriverError(f"the volume {original}, which is to be copied, is gone from the storage pool")
            self.delete(name)
            described = source.XMLDesc()
            backing = {"backing": "", "backing_format": ""}
            if not whole:
                backing = {"backing": backing_path(described), "backing_format": backing_format(described)}
            kind = "qcow2" if whole else volume_format(described)
            text = xml("volume", name=name, capacity=source.info()[1], format=kind, mode="", **backing)
            pool = source.storagePoolLookupByVolume()
            return str(_patiently(lambda: pool.createXMLFrom(text, source, 0)).path())

    def path(self, name: str) -> str:
        """Where a volume is on the libvirt host. Raises `DriverError` when it is gone."""
        return self.layers(name)[0]

    def fresh(self, name: str) -> Any:
        """A volume with its size as it is now. Raises `DriverError` when it is gone."""
        self.refresh()
        volume = self.volume(name)
        if volume is None:
            raise DriverError(f"the volume {name} is gone from the storage pool")
        return volume

    def layers(self, name: str) -> tuple[str, str, str]:
        """A volume's path, and path and format of what it is made over, if anything."""
        volume = self.volume(name)
        if volume is None:
            raise DriverError(f"the volume {name} is gone from the storage pool")
        text = volume.XMLDesc()
        return str(volume.path()), backing_path(text), backing_format(text)

    def tail(self, name: str, most: int) -> bytes:
        """The last bytes of a volume that others write; empty when there is none."""
        self.refresh()
        volume = self.volume(name)
        if volume is None:
            return b""
        size = int(volume.info()[1])
        return receive(self._connection, volume, max(0, size - most), min(size, most)) if size else b""

    def delete(self, name: str) -> bool:
        """Remove a volume; whether there was one."""
        volume = self.volume(name)
        if volume is None:
            return False
        try:
            _patiently(lambda: volume.delete(0))
        except libvirt().libvirtError as error:
            if not missing(error, "VIR_ERR_NO_STORAGE_VOL"):
                raise
        return True

    def base(self, image: VMImage, report: Callable[[str], None], deadline: float) -> Base:
        """The pool's copy of an image, uploaded when it is not there."""
        name = base_name(image.digest, image.format)
        with told(f"bringing the image {image.digest[:12]} into the pool"):
            if self.volume(name + WHOLE) is None or self.volume(name) is None:
                self._bring(image, name, report, deadline)
            volume = self.volume(name)
            if volume is None:
                raise DriverError(f"the image {image.digest[:12]} has gone from the pool while it was to be used")
            return Base(str(volume.path()), image.format, image.virtual_size)

    def _bring(self, image: VMImage, name: str, report: Callable[[str], None], deadline: float) -> None:
        """Upload, or wait while somebody else does, and do it again when that stalls."""
        while self.volume(name + WHOLE) is None:
            try:
                volume = self._make_volume(name, image.size, "raw", mode="0644")
            except libvirt().libvirtError:
                if self.volume(name) is None:
                    raise
                report("Waiting for the image's upload by another create")
                if not self._wait_for_upload(name, deadline):
                    self.delete(name)
                continue
            report(f"Uploading the image to the pool ({image.size >> 20} MiB)")
            with open(image.path, "rb") as file:
                _send(self._connection, volume, file)
            with contextlib.suppress(libvirt().libvirtError):
                self._make_volume(name + WHOLE, 1, "raw", mode="0644")

    def _wait_for_upload(self, name: str, deadline: float) -> bool:
        """Whether it came to its end; false when it makes no progress any more."""
        size, changed = -1, time.monotonic()
        while self.volume(name + WHOLE) is None:
            now = time.monotonic()
            if now > deadline:
                raise DeadlineExceeded("waiting for the image's upload", now - changed)
            volume = self.volume(name)
            current = volume.info()[2] if volume is not None else -2
            if current != size:
                size, changed = current, now
            if now - changed > STALLED_SECONDS:
                return False
            time.sleep(0.5)
        return True

    def bases(self) -> list[tuple[str, int]]:
        """Name and bytes of the images in the pool."""
        return [(volume.name(), volume.info()[2]) for volume in self.volumes() if is_base(volume.name())]

    def used_bases(self) -> set[str]:
        """Paths of images that disks in the pool are made over."""
        return {path for volume in self.volumes() if (path := backing_path(volume.XMLDesc()))}

    def volumes(self) -> list[Any]:
        """All volumes of the pool, if it is there and active."""
        pool = self.find()
        return list(pool.listAllVolumes()) if pool is not None and pool.isActive() else []

    def _make_volume(self, name: str, size: int, format: str, *, mode: str = "", **backing: str) -> Any:
        pool = self.find()
        if pool is None:
            raise MissingRequirement(f'the storage pool "{self._options.pool}" has gone')
        values = {"backing": "", "backing_format": "", **backing}
        text = xml("volume", name=name, capacity=size, format=format, mode=mode, **values)
        return pool.createXML(text, 0)


def base_name(digest: str, format: str) -> str:
    """An image's name in every pool."""
    return f"{BASE_PREFIX}{digest}.{format}"


def is_base(name: str) -> bool:
    """Whether a volume is an image of ours."""
    return re.fullmatch(rf"{BASE_PREFIX}[0-9a-f]{{64}}\.(qcow2|raw)", name) is not None


def target_path(pool_xml: str) -> str:
    """A pool's folder, from its description."""
    return ElementTree.fromstring(pool_xml).findtext("target/path") or ""


def pool_kind(pool_xml: str) -> str:
    """``dir``, ``logical``…"""
    return ElementTree.fromstring(pool_xml).get("type", "")


def volume_format(volume_xml: str) -> str:
    """``qcow2``, ``raw``…"""
    kind = ElementTree.fromstring(volume_xml).find("target/format")
    return kind.get("type", "") if kind is not None else "raw"


def backing_path(volume_xml: str) -> str:
    """What a disk is made over; empty when it stands alone."""
    return ElementTree.fromstring(volume_xml).findtext("backingStore/path") or ""


def backing_format(volume_xml: str) -> str:
    """The format of what a disk is made over."""
    kind = ElementTree.fromstring(volume_xml).find("backingStore/format")
    return kind.get("type", "") if kind is not None else ""


def _send(connection: Any, volume: Any, file: BinaryIO) -> None:
    stream = connection.newStream(0)
    volume.upload(stream, 0, 0, 0)
    try:
        while block := file.read(BLOCK):
            view = memoryview(block)
            while view:
                view = view[stream.send(bytes(view)) :]
        stream.finish()
    except BaseException:
        with contextlib.suppress(libvirt().libvirtError):
            stream.abort()
        raise


def receive(connection: Any, volume: Any, offset: int, most: int) -> bytes:
    """At most *most* bytes of a volume, from *offset*."""
    stream = connection.newStream(0)
    volume.download(stream, offset, most, 0)
    return b"".join(_blocks(stream))


def _blocks(stream: Any) -> Iterator[bytes]:
    while block := stream.recv(BLOCK):
        yield block
    stream.finish()


def _patiently(call: Callable[[], Any]) -> Any:
    """A pool refuses some calls while volumes are written; try until it has time."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return call()
        except libvirt().libvirtError as error:
            busy = "asynchronous jobs" in str(error) or "in use" in str(error) or "still being" in str(error)
            if not busy or time.monotonic() > end:
                raise
        time.sleep(0.2)
