"""What operating systems do differently with files, in one place.

On Windows a file that somebody has open can be neither replaced nor renamed, for no longer than that somebody reads
it; directories cannot be synced; and modes say nothing: who may read a file is inherited from its directory, and the
user's own (``%USERPROFILE%``, where the store is by default) is closed to others.

Descriptors need no ``O_CLOEXEC``: Python's are not inherited (PEP 446). Sources: rename(2), open(2), Microsoft's CRT
``_open`` (``O_BINARY``) and ``MoveFileEx``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

WINDOWS = os.name == "nt"
MODES = not WINDOWS
"""Whether files' modes keep other users out."""
PATIENCE = 2.0
"""Seconds for which Windows is asked again to replace a file that is open."""


def open_file(path: str | Path, flags: int, mode: int = 0o600) -> int:
    """open(2) for bytes as they are."""
    return os.open(path, flags | getattr(os, "O_BINARY", 0), mode)


def open_without_waiting(path: str | Path) -> int:
    """open(2) for reading what may turn out to be a FIFO, which must not hold us up."""
    return open_file(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))


def set_mode(handle: int, path: str | Path, mode: int) -> None:
    """fchmod(2), where modes mean anything."""
    if hasattr(os, "fchmod"):
        os.fchmod(handle, mode)
    elif MODES:
        os.chmod(path, mode)


def replace(source: str | Path, target: str | Path) -> None:
    """rename(2), over a file that is there."""
    _patiently(lambda: os.replace(source, target))


def rename(source: str | Path, target: str | Path) -> None:
    """rename(2) of a directory to a name that is free."""
    _patiently(lambda: os.rename(source, target))


def publish(temporary: str | Path, path: Path) -> None:
    """Give a finished file its name, which must be new; raises `FileExistsError` for all but one of many that try.

    The temporary name may stay beside it. Windows' rename replaces nothing; elsewhere only link(2) does not.
    """
    if WINDOWS:
        os.rename(temporary, path)
    else:
        os.link(temporary, path)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable, where that takes more than syncing the files."""
    if WINDOWS:
        return
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def computer() -> str:
    """This computer's name."""
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "this computer")


def _patiently(action: Callable[[], None]) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return action()
        except PermissionError:
            if not WINDOWS or time.monotonic() > end:
                raise
            time.sleep(0.01)
