"""Files that are there whole or not at all, also after a power cut.

A temporary file in the same folder is written and synced, then takes its name by one rename (or link, when the
name must be new), then the folder is synced (rename(2), fsync(2)). Temporary names begin with a dot.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from pymachine.machine.errors import MachineError
from pymachine.store.portable import open_file, publish, replace, set_mode, sync_directory

__all__ = ["create_file", "make_directory", "replace_file", "storage_errors", "sweep", "sync_directory"]

_HINTS = {
    errno.ENOSPC: "free some space; nothing that was stored before is harmed",
    errno.EDQUOT: "free some space; nothing that was stored before is harmed",
    errno.EROFS: "choose another directory with --storage-path or MACHINE_STORAGE_PATH",
    errno.EACCES: "choose another directory with --storage-path or MACHINE_STORAGE_PATH, or change its owner",
}


@contextlib.contextmanager
def storage_errors(action: str, path: Path) -> Iterator[None]:
    """Turn what the file system refuses into one line: *action* is like ``cannot write``."""
    try:
        yield
    except MachineError:  # some of them are OSErrors too
        raise
    except OSError as error:
        hint = _HINTS.get(error.errno or 0, "")
        raise MachineError(f"{action} {path}: {error.strerror or error}", hint=hint) from error


def make_directory(path: Path) -> None:
    """A private directory (0700), with the parents it needs; fine when it exists."""
    if os.path.isdir(path):
        return
    for attempts_left in range(9, -1, -1):  # it may come and go while we look
        try:
            return path.mkdir(mode=0o700)
        except FileExistsError:
            if path.is_dir():
                return
            if not attempts_left:
                raise
        except FileNotFoundError:
            if not attempts_left:
                raise
            make_directory(path.parent)
            sync_directory(path.parent.parent)


def replace_file(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write *path*, replacing what is there; raises `OSError` and leaves the old file when it cannot."""
    with _temporary(path, content, mode) as temporary:
        replace(temporary, path)
    sync_directory(path.parent)


def create_file(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write *path*, which must be new; raises `FileExistsError` for all but one of many that try."""
    with _temporary(path, content, mode) as temporary:
        publish(temporary, path)
    sync_directory(path.parent)


def sweep(path: Path) -> None:
    """Remove what killed processes left of writing *path*. Only for who alone may write it."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(path.parent):
            head, _, end = name.rpartition(".")
            if head == f".{path.name}" and len(end) == 16:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path.parent / name)


@contextlib.contextmanager
def _temporary(path: Path, content: bytes, mode: int) -> Iterator[str]:
    """A synced file beside *path*, private from the start, gone afterwards unless it was renamed.

    tempfile would do the same, but importing it takes longer than all else here.
    """
    temporary = f"{path.parent}/.{path.name}.{os.urandom(8).hex()}"
    handle = open_file(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            if mode != 0o600:
                set_mode(handle, temporary, mode)
            os.fsync(handle)
        yield temporary
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
