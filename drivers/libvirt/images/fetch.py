"""Bring an image into the library: from the catalogue, a URL or a file, and never without looking at what it is."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from pymachine.drivers.libvirt.images import catalogue
from pymachine.drivers.libvirt.images.download import download, read
from pymachine.drivers.libvirt.images.library import Library, VMImage
from pymachine.drivers.local.faults import told
from pymachine.machine.errors import DriverError, InvalidOption

CHUNK = 1 << 20
COMPRESSED = {
    b"\xfd7zXZ": "xz",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
}


def is_url(text: str) -> bool:
    """Whether an image is given by its address."""
    return urlsplit(text).scheme in ("http", "https")


def known(name: str, library: Library, architecture: str) -> bool:
    """Whether `obtain` would find out what is meant; asks nobody."""
    return bool(
        library.find(name)
        or is_url(name)
        or catalogue.find(name, architecture)
        or (os.sep in name and Path(name).is_file())
    )


def obtain(
    name: str, *, checksum: str, architecture: str, report: Callable[[str], None], library: Library, fresh: bool = False
) -> VMImage:
    """The image that *name* means: in the library by name or digest, else fetched by short name, URL or path.

    *checksum* is ``sha256:…`` or ``sha512:…``; a URL must have one. With *fresh* the library's own is not taken.
    Raises `InvalidOption` when nothing is meant, `DriverError` when it cannot be had or is not what it should be.
    """
    if not fresh and (found := library.find(name)):
        return found
    with told("fetching the image"):
        if official := catalogue.find(name, architecture):
            checksum = catalogue.pick(read(official.checksums), official.url, official.checksums)
            return _take(name, official.url, checksum, architecture, report, library)
        if is_url(name):
            if not checksum:
                raise InvalidOption("--libvirt-image-checksum must be given for an image given by its URL")
            return _take("", name, checksum, architecture, report, library)
        if os.sep in name and Path(name).is_file():
            return _take("", str(Path(name).absolute()), checksum, architecture, report, library)
    raise InvalidOption(
        f'--libvirt-image: there is no image "{name}"',
        hint=f"known: {', '.join(catalogue.names())}; pymachine image ls --vm   shows what is here already",
    )


def _take(
    name: str, source: str, checksum: str, architecture: str, report: Callable[[str], None], library: Library
) -> VMImage:
    origin = f"{source}#{checksum}" if checksum else _file_origin(source)
    if found := library.find_source(origin):
        return found
    with library.lock(), library.adding() as place:
        if found := library.find_source(origin):  # another process fetched it while we waited
            return found
        report(f"Fetching {source}")
        disk = place / "disk.img"
        if is_url(source):
            part = library.part(origin)
            download(source, part, checksum, report)
            os.replace(part, disk)
        else:
            _copy(source, disk, checksum)
        kind, size = inspect(disk)
        return library.add(disk, name, format=kind, virtual_size=size, architecture=architecture, source=origin)


def _file_origin(path: str) -> str:
    """A file without a checksum is known by its path, size and time."""
    found = os.stat(path)
    return f"{path}#{found.st_size}-{found.st_mtime_ns}"


def _copy(source: str, disk: Path, checksum: str) -> None:
    algorithm, _, wanted = checksum.partition(":")
    digest = hashlib.new(algorithm or "sha256")
    with open(source, "rb") as incoming, open(disk, "wb") as file:
        while chunk := incoming.read(CHUNK):
            digest.update(chunk)
            file.write(chunk)
    if wanted and digest.hexdigest() != wanted:
        raise DriverError(f"{source} is not what its checksum says: {algorithm} is {digest.hexdigest()}")


def inspect(disk: Path) -> tuple[str, int]:
    """Format and virtual size in bytes of a disk image.

    A qcow2 image that names another file is refused: the libvirt host would open that file with its own rights
    (qemu, docs/interop/qcow2.txt: header bytes 8-15 and 72-79).
    """
    with open(disk, "rb") as file:
        head = file.read(104)
    if len(head) < 104:
        raise DriverError("the file is too short to be a disk image")
    for magic, program in COMPRESSED.items():
        if head.startswith(magic):
            raise DriverError(f"the image is compressed by {program}", hint="unpack it and give the file")
    if not head.startswith(b"QFI\xfb"):
        return "raw", disk.stat().st_size
    version, backing, size = struct.unpack(">IQ", head[4:16]) + struct.unpack(">Q", head[24:32])
    if version not in (2, 3):
        raise DriverError(f"the image is qcow2 of version {version}, which is unknown")
    incompatible = struct.unpack(">Q", head[72:80])[0] if version == 3 else 0
    if backing or incompatible & 0b100:
        raise DriverError("the image needs another file beside it, which is not allowed")
    return "qcow2", int(size)
