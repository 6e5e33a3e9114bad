"""Power cuts: which layers' files are surely on disk, and checking those that may not be.

Writing a layer does not wait for the disk. Some seconds later everything is synchronised (syncfs(2)) and each layer
so far is marked ``settled``. After a power cut the file system may show a layer whose files are cut short; a layer
without the mark from an earlier boot is therefore compared with its digest before it counts.
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

_log = logging.getLogger(__name__)
_libc = ctypes.CDLL(None, use_errno=True)

DELAY = 10.0
"""Seconds after the last new layer."""


def boot_id() -> str:
    """This boot's identity (random(4)); ``""`` where the kernel does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def sync_file_system(folder: Path) -> None:
    """Wait until everything on *folder*'s file system is on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


class Settling:
    """Marks the folders given to `add` when their layers are on disk. Safe to call from several threads."""

    def __init__(self, sync: Callable[[], None], delay: float = DELAY) -> None:
        self._sync = sync
        self._delay = delay
        self._lock = threading.Lock()
        self._folders: set[Path] = set()
        self._timer: threading.Timer | None = None

    def add(self, folders: Iterable[Path]) -> None:
        """Layers that have just been made."""
        with self._lock:
            self._folders.update(folders)
            if self._timer is None and self._folders:
                self._timer = threading.Timer(self._delay, self.settle)
                self._timer.daemon = True
                self._timer.start()

    def settle(self) -> None:
        """Synchronise, and mark what was there before."""
        with self._lock:
            folders, self._folders, self._timer = self._folders, set(), None
        try:
            self._sync()
            for folder in folders:
                if folder.is_dir():
                    (folder / "settled").touch(0o600)
        except OSError as error:
            _log.warning("cannot synchronise the layers with the disk: %s", error)

    def close(self) -> None:
        """Stop waiting; the layers not marked yet are looked at by the next daemon."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None


def is_settled(folder: Path, boot: str) -> bool:
    """Whether a layer made in the boot *boot* can be taken for whole without a look at it."""
    return boot == boot_id() or (folder / "settled").exists()
