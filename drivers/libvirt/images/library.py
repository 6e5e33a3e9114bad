"""The images of virtual machines on this computer, from which pools are filled.

::

    /var/lib/pymachine/vm-images    $PYMACHINE_VM_IMAGE_ROOT; a user's own: ~/.cache/pymachine/vm-images
    ├── <sha256 of disk.img>/       never changed; a pool's copy bears the same digest in its name
    │   ├── disk.img
    │   └── image.json
    ├── .adding-*                   swept by the next addition
    └── .part-*                     what has come of a file so far; swept when nobody goes on with it
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pymachine.drivers.local import jsonfile
from pymachine.drivers.local.locks import locked
from pymachine.machine.errors import DriverError

SYSTEM_ROOT = Path("/var/lib/pymachine/vm-images")
SHORTEST_PREFIX = 4
PART_SECONDS = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class VMImage:
    """One disk image."""

    digest: str
    """SHA-256 of the file."""
    name: str
    """What it is called; empty once a newer one has taken the name."""
    format: str
    """``qcow2`` or ``raw``."""
    size: int
    """Bytes of the file."""
    virtual_size: int
    """Bytes of the disk."""
    architecture: str
    source: str
    """Where it came from: an URL, a path, or a recipe's digest."""
    created: str
    """RFC 3339, UTC."""
    directory: Path

    @property
    def path(self) -> Path:
        """The file."""
        return self.directory / "disk.img"


def default_root(env: Mapping[str, str] = os.environ) -> Path:
    """Where images are kept: the environment's choice, else the system's folder for root and a cache for others."""
    if chosen := env.get("PYMACHINE_VM_IMAGE_ROOT"):
        return Path(chosen).absolute()
    if os.geteuid() == 0:
        return SYSTEM_ROOT
    return Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pymachine" / "vm-images"


class Library:
    """The images below one folder."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or default_root()

    def images(self) -> list[VMImage]:
        """All, the newest first; nothing is made when there are none."""
        try:
            entries = [entry for entry in os.listdir(self.root) if len(entry) == 64]
        except FileNotFoundError:
            return []
        found = (self._load(self.root / entry) for entry in entries)
        return sorted((image for image in found if image), key=lambda image: image.created, reverse=True)

    def find(self, name: str) -> VMImage | None:
        """By name, or by digest (``sha256:`` may stand before it) or a part of 4 or more digits that fits one."""
        images = self.images()
        found = [image for image in images if image.name == name]
        prefix = name.removeprefix("sha256:")
        if not found and len(prefix) >= SHORTEST_PREFIX:
            found = [image for image in images if image.digest.startswith(prefix)]
        if len(found) > 1:
            raise DriverError(f'"{name}" fits {len(found)} images of virtual machines; write more of the digest')
        return found[0] if found else None

    def find_source(self, source: str) -> VMImage | None:
        """The newest one that came from *source*."""
        return next((image for image in self.images() if image.source == source), None)

    def lock(self, stage: str = "waiting for the image lock", wait: float = 1800) -> AbstractContextManager[int]:
        """The right to add or remove; yields a descriptor that a child may inherit."""
        self.root.mkdir(parents=True, exist_ok=True)
        return locked(self.root / ".lock", stage, wait=wait)

    @contextmanager
    def adding(self) -> Iterator[Path]:
        """A scratch folder for a new image, gone at the end; the lock must be held, for leftovers are swept."""
        for left in self.root.glob(".adding-*"):
            shutil.rmtree(left)
        place = Path(tempfile.mkdtemp(prefix=".adding-", dir=self.root))
        try:
            yield place
        finally:
            shutil.rmtree(place)

    def part(self, source: str) -> Path:
        """Where a file from *source* grows; parts that nobody has gone on with are swept. The lock must be held."""
        for left in self.root.glob(".part-*"):
            if time.time() - left.stat().st_mtime > PART_SECONDS:
                left.unlink()
        return self.root / f".part-{hashlib.sha256(source.encode()).hexdigest()[:32]}"

    def add(self, disk: Path, name: str, *, format: str, virtual_size: int, architecture: str, source: str) -> VMImage:
        """Take in a file of the scratch folder under its digest; the name is taken from an older image."""
        with open(disk, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = disk.stat().st_size
        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        target = self.root / digest
        image = VMImage(digest, name, format, size, virtual_size, architecture, source, created, target)
        for other in self.images():
            if other.name == name and other.digest != digest:
                self._write(other, name="")
        if not image.path.exists():
            shutil.rmtree(target, ignore_errors=True)  # what a crash left between the two renames
            ready = disk.parent / "ready"
            ready.mkdir()
            os.replace(disk, ready / "disk.img")
            jsonfile.write(ready / "image.json", self._document(image))
            os.sync()  # the folder is renamed next, and must not be found empty after a power cut
            ready.rename(target)
        else:
            self._write(image, name=name)
        return image

    def remove(self, name: str) -> VMImage:
        """Remove an image; machines live on their pool's own copy. Raises `DriverError` when there is none."""
        image = self.find(name)
        if image is None:
            raise DriverError(f'there is no image "{name}" of virtual machines')
        with self.lock():
            leaving = self.root / f".adding-{image.digest}"
            os.rename(image.directory, leaving)
            shutil.rmtree(leaving)
        return image

    def _write(self, image: VMImage, *, name: str) -> None:
        jsonfile.write(image.directory / "image.json", {**self._document(image), "name": name})

    @staticmethod
    def _document(image: VMImage) -> dict[str, object]:
        document = asdict(image)
        del document["directory"]
        return document

    @staticmethod
    def _load(directory: Path) -> VMImage | None:
        value = jsonfile.read(directory / "image.json")
        try:
            return VMImage(**value, directory=directory)
        except TypeError:
            return None
