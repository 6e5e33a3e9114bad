"""``docker diff``: what a container's writable layer changes, read from the overlay's upper directory.

Source: Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories".
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Any

from pymachine.dockerapi.errors import NotServed
from pymachine.engine.runtime.spec import Rootfs
from pymachine.engine.storage import mountpoints

MODIFIED, ADDED, DELETED = 0, 1, 2
"""``Kind`` of a change (Engine API 1.24+)."""


def of(rootfs: Rootfs) -> list[dict[str, Any]]:
    """The changes, parents before children; raises `NotServed` where layers are not kept apart. Blocks."""
    if rootfs.type != "overlay":
        raise NotServed("the changes of a container are only known with the overlay2 graph driver")
    return [{"Path": path, "Kind": kind} for path, kind in _below(rootfs, "")]


def _below(rootfs: Rootfs, folder: str) -> Iterator[tuple[str, int]]:
    with os.scandir(f"{rootfs.upper}{folder}") as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        path = f"{folder}/{entry.name}"
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            yield path, DELETED
            continue
        is_folder = stat.S_ISDIR(status.st_mode)
        below = list(_below(rootfs, path)) if is_folder else []
        kind = MODIFIED if _in_image(rootfs, path) else ADDED
        size = len(below) if is_folder else status.st_size
        if mountpoints.is_made(path[1:], status.st_mode, size) and (kind == ADDED or (is_folder and _any(entry))):
            continue  # new, or a folder of the image that is here for the mount points in it
        yield path, kind
        yield from below


def _any(folder: os.DirEntry[str]) -> bool:
    with os.scandir(folder) as entries:
        return next(entries, None) is not None


def _in_image(rootfs: Rootfs, path: str) -> bool:
    """Whether a layer below has *path*, with no whiteout over it."""
    for lower in rootfs.lower:
        try:
            status = os.lstat(f"{lower}{path}")
        except (FileNotFoundError, NotADirectoryError):
            continue
        return not (stat.S_ISCHR(status.st_mode) and status.st_rdev == 0)
    return False
