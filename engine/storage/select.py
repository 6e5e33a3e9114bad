"""Choosing the graph driver: the one asked for, or the best that works here."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from pymachine.dockerapi.errors import EngineError, InvalidArgument
from pymachine.engine.storage import mounts
from pymachine.engine.storage.base import GraphDriver
from pymachine.engine.storage.disk import remove_tree
from pymachine.engine.storage.overlay2 import Overlay2Driver
from pymachine.engine.storage.vfs import VfsDriver

_log = logging.getLogger(__name__)
_DRIVERS: dict[str, type[Overlay2Driver] | type[VfsDriver]] = {"overlay2": Overlay2Driver, "vfs": VfsDriver}


def open_driver(name: str, root: Path) -> GraphDriver:
    """The driver called *name* with its folder ``root/name``; ``""`` chooses.

    Raises `InvalidArgument` for an unknown name and `EngineError` when overlay2 is asked for and cannot work.
    Chosen freely, a driver that already has layers below *root* is kept: changing it would hide them.
    """
    if name and name not in _DRIVERS:
        raise InvalidArgument(f"unknown storage driver {name!r}: choose one of {', '.join(sorted(_DRIVERS))}")
    root.mkdir(mode=0o710, parents=True, exist_ok=True)
    if name == "vfs" or (not name and _has_layers(root / "vfs") and not _has_layers(root / "overlay2")):
        return VfsDriver(root / "vfs")
    problem = probe_overlay(root)
    if not problem:
        return Overlay2Driver(root / "overlay2")
    if name:
        raise EngineError(f"storage driver overlay2 does not work on {root}: {problem}")
    _log.warning("overlay does not work on %s (%s): falling back to the slow vfs storage driver", root, problem)
    return VfsDriver(root / "vfs")


def probe_overlay(root: Path) -> str:
    """Try an overlay mount with two lower directories below *root*; ``""``, or why it does not work."""
    probe = root / f".probe-{os.urandom(6).hex()}"
    try:
        for folder in ("one", "two", "upper", "work", "merged"):
            (probe / folder).mkdir(parents=True)
        mounts.mount_overlay(probe, "merged", ["two", "one"], "upper", "work")
        try:
            os.mknod(probe / "upper" / "device", 0o600 | 0o020000, 0)  # a whiteout, which needs mknod
            os.setxattr(probe / "upper", "trusted.overlay.opaque", b"y")
        finally:
            mounts.unmount(str(probe / "merged"))
    except OSError as error:
        return error.strerror or str(error)
    finally:
        remove_tree(probe)
    return ""


def _has_layers(folder: Path) -> bool:
    try:
        return any((folder / "layers").iterdir())
    except OSError:
        return False
