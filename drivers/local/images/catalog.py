"""The images on this computer: found by name or digest, pinned by machines, removed.

::

    images/
    ├── <digest>/           complete from the moment it has this name, never changed
    │   ├── rootfs/
    │   ├── image.json
    │   └── users/<machine id>  -> the machine's folder
    ├── names/<name>        -> ../<digest>
    ├── .lock               held for moments, while images are added, pinned or removed
    ├── .build.lock         held during a build
    └── .building-*, .removing-*    swept by the next build or removal
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymachine.drivers.local import jsonfile
from pymachine.drivers.local.images.recipe import how_to_get
from pymachine.drivers.local.locks import locked
from pymachine.drivers.local.removal import remove_tree
from pymachine.machine.errors import DriverError

LOCK_SECONDS = 1800.0
"""Longer than a build on a slow line takes."""
SHORTEST_PREFIX = 4
ESSENTIAL = ("usr/lib/systemd/systemd", "usr/sbin/sshd", "usr/bin/python3", "etc/passwd", "etc/machine-id")


@dataclass(frozen=True, slots=True)
class Image:
    """One image."""

    digest: str
    directory: Path
    names: tuple[str, ...]
    size: int
    """Bytes of its files."""
    created: str
    """RFC 3339, UTC."""
    packages: int
    recipe: str
    """The recipe's digest."""
    machines: tuple[str, ...]
    """Ids of machines that are made from it."""

    @property
    def rootfs(self) -> Path:
        return self.directory / "rootfs"


class Catalog:
    """The images below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names_dir = root / "names"

    def images(self) -> list[Image]:
        """All images, the newest first; nothing is made when there are none.

        Raises `DriverError` when the folder is none, or cannot be read.
        """
        try:
            entries = [entry for entry in os.listdir(self.root) if _is_digest(entry)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise DriverError(f"cannot look for images in {self.root}: {error.strerror}") from error
        return sorted((self._load(entry) for entry in entries), key=lambda image: image.created, reverse=True)

    def find(self, name: str) -> Image | None:
        """By name, or by digest (``sha256:`` may stand before it) or a part of 4 or more digits that fits one."""
        found = [image for image in self.images() if name in image.names]
        prefix = name.removeprefix("sha256:")
        if not found and len(prefix) >= SHORTEST_PREFIX:
            found = [image for image in self.images() if image.digest.startswith(prefix)]
        if len(found) > 1:
            raise DriverError(f'"{name}" fits {len(found)} images; write more of the digest')
        return found[0] if found else None

    def damage(self, image: Image) -> str:
        """What is visibly wrong with an image; empty when nothing is. Quick: contents are not read."""
        if not jsonfile.read(image.directory / "image.json"):
            return "image.json cannot be read"
        lost = [path for path in ESSENTIAL if not os.path.lexists(image.rootfs / path)]
        return f"{lost[0]} is missing" if lost else ""

    def lock(self) -> AbstractContextManager[int]:
        """The right to add, pin or remove images."""
        return locked(self.root / ".lock", "waiting for the image lock")

    def build_lock(self, waiting: Callable[[], None]) -> AbstractContextManager[int]:
        """The right to build; yields the lock's descriptor, which the builder's processes inherit."""
        return locked(self.root / ".build.lock", "waiting for another build", wait=LOCK_SECONDS, waiting=waiting)

    def pin(self, name: str, machine_id: str, machine_dir: Path) -> Image:
        """Note that a machine is made from an image, so that nobody removes it."""
        with self.lock():
            image = self.find(name)
            if image is None:
                raise DriverError(f'there is no image "{name}"', hint=how_to_get(name))
            (image.directory / "users").mkdir(exist_ok=True)
            link = image.directory / "users" / machine_id
            if not link.is_symlink():
                link.symlink_to(machine_dir)
        return image

    def unpin(self, machine_id: str) -> None:
        """The machine is gone."""
        for image in self.images():
            (image.directory / "users" / machine_id).unlink(missing_ok=True)

    def remove(self, name: str) -> Image:
        """Remove an image and its names. Raises `DriverError` when there is none, or machines use it."""
        if not self.root.is_dir():
            raise DriverError(f'there is no image "{name}"')
        with self.lock():
            self.sweep(".removing-")
            image = self.find(name)
            if image is None:
                raise DriverError(f'there is no image "{name}"')
            if image.machines:
                raise DriverError(
                    f'the image "{name}" is used by {", ".join(_machine_names(image))}',
                    hint="remove these machines first: pymachine rm NAME",
                )
            for alias in image.names:
                (self.names_dir / alias).unlink()
            leaving = self.root / f".removing-{image.digest}"
            os.rename(image.directory, leaving)
            remove_tree(leaving)
        return image

    def name(self, name: str, digest: str) -> None:
        """Point a name at a digest."""
        self.names_dir.mkdir(exist_ok=True)
        new = self.names_dir / f".{name}.{os.getpid()}"
        new.unlink(missing_ok=True)
        new.symlink_to(Path("..") / digest)
        os.replace(new, self.names_dir / name)

    def add(self, built: Path, digest: str, name: str) -> Image:
        """Take in a folder that was built beside, under its digest and name; one that is there stays."""
        with self.lock():
            if not (self.root / digest).exists():
                os.rename(built, self.root / digest)
            self.name(name, digest)
            return self._load(digest)

    def sweep(self, prefix: str) -> None:
        """Remove what interrupted builds or removals left; only under the lock that excludes a running one."""
        for entry in os.listdir(self.root):
            if entry.startswith(prefix):
                remove_tree(self.root / entry)

    def _load(self, digest: str) -> Image:
        directory = self.root / digest
        value = jsonfile.read(directory / "image.json")
        return Image(
            digest=digest,
            directory=directory,
            names=tuple(self._names(digest)),
            size=_number(value.get("size")),
            created=str(value.get("created", "")),
            packages=_number(value.get("packages")),
            recipe=str(value.get("recipe", "")),
            machines=tuple(_users(directory / "users")),
        )

    def _names(self, digest: str) -> Iterator[str]:
        names = sorted(os.listdir(self.names_dir)) if self.names_dir.is_dir() else []
        for name in names:
            path = self.names_dir / name
            if path.is_symlink() and os.path.basename(os.readlink(path)) == digest and not name.startswith("."):
                yield name


def _users(directory: Path) -> Iterator[str]:
    """Machines whose folder is still there; a link to nothing is of one removed by hand."""
    if directory.is_dir():
        yield from (name for name in sorted(os.listdir(directory)) if _leads_somewhere(directory / name))


def _leads_somewhere(link: Path) -> bool:
    try:
        return link.exists()
    except PermissionError:  # into another user's private folder
        return True


def _machine_names(image: Image) -> Iterator[str]:
    for machine_id in image.machines:
        record = jsonfile.read(image.directory / "users" / machine_id / "machine.json")
        yield str(record.get("name") or machine_id)


def _is_digest(name: str) -> bool:
    return len(name) == 64 and all(char in "0123456789abcdef" for char in name)


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
