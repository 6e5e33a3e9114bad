"""Deletions in layers: from the archive's form (OCI image specification, layer.md) to the driver's.

``.wh.NAME`` deletes NAME of the layers below, ``.wh..wh..opq`` everything that the layers below have in a
directory; never what the same layer brings, whatever the order of its entries.
"""

from __future__ import annotations

import os
import stat
from typing import Protocol

from pymachine.engine.images.archive.tree import Tree
from pymachine.engine.images.errors import UnsafeArchive

PREFIX = ".wh."
OPAQUE = ".wh..wh..opq"
OPAQUE_XATTR = "trusted.overlay.opaque"


class Whiteouts(Protocol):
    """What to do with deletions. Folders are open directories, *path* is real and below the root."""

    def delete(self, folder: int, name: str, path: str) -> None: ...

    def clear(self, folder: int, path: str) -> None:
        """Everything of the layers below, in *folder*."""
        ...

    def brought(self, path: str) -> None:
        """The layer has an entry there."""
        ...


def hidden_name(name: str) -> str | None:
    """What the whiteout called *name* deletes; ``None`` for the marks that mean nothing here (aufs's own)."""
    if name.startswith(".wh..wh."):
        return None
    hidden = name.removeprefix(PREFIX)
    if hidden in ("", ".", "..") or "/" in hidden:
        raise UnsafeArchive(f"the archive has an invalid whiteout {name[:200]!r}")
    return hidden


def is_whiteout(status: os.stat_result) -> bool:
    """Whether this is the overlay's mark of a deletion."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def make_opaque(folder: int) -> None:
    """Mark an open directory: nothing of the layers below shows in it."""
    os.setxattr(folder, OPAQUE_XATTR, b"y")


class KeepWhiteouts:
    """For overlay: a 0/0 character device, an opaque mark (kernel documentation, overlayfs.rst)."""

    def delete(self, folder: int, name: str, path: str) -> None:
        try:
            os.mknod(name, 0o600 | stat.S_IFCHR, 0, dir_fd=folder)
        except FileExistsError:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):  # the layer brings a new directory: hide the old one's contents
                descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
                try:
                    make_opaque(descriptor)
                finally:
                    os.close(descriptor)

    def clear(self, folder: int, path: str) -> None:
        make_opaque(folder)

    def brought(self, path: str) -> None:
        pass


class CarryOut:
    """For a tree that started as a copy of the layers below: delete now."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._brought: set[str] = set()

    def delete(self, folder: int, name: str, path: str) -> None:
        if path in self._brought:
            self._clear_old(folder, name, path)
        else:
            self._tree.remove(folder, name)

    def clear(self, folder: int, path: str) -> None:
        for name in os.listdir(folder):
            below = f"{path}/{name}" if path else name
            self.delete(folder, name, below)

    def brought(self, path: str) -> None:
        while path and path not in self._brought:
            self._brought.add(path)
            path = path.rpartition("/")[0]

    def _clear_old(self, folder: int, name: str, path: str) -> None:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            try:
                self.clear(descriptor, path)
            finally:
                os.close(descriptor)
