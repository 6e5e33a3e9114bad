"""Locks between processes that end with their holder, and a note of who holds them.

The lock is flock(2), or what Windows has for it, by `filelock`: the kernel drops it when the process ends, however that
ends. The note beside it is for people; when it is stale the lock still tells the truth. Lock files stay after use:
removing a file that another process may be waiting on would split the lock in two.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pymachine.machine.errors import StoreBusy
from pymachine.store.atomic import make_directory, storage_errors
from pymachine.store.portable import computer, open_file, replace
from pymachine.store.schema import read_file

POLL = 0.02
"""Seconds between attempts while waiting."""

FOREVER = -1.0


@contextlib.contextmanager
def hold(path: Path, what: str, purpose: str, *, wait: float) -> Iterator[None]:
    """Hold the lock file *path* while the block runs.

    Raises `StoreBusy` naming the holder after *wait* seconds (`FOREVER`: never). *what* says in that message
    what is locked: ``Machine "web"``.
    """
    from filelock import FileLock, Timeout  # 20 ms that readers need not pay

    with storage_errors("cannot lock", path):
        make_directory(path.parent)
        lock = FileLock(path, mode=0o600, thread_local=False)
        try:
            lock.acquire(timeout=wait, poll_interval=POLL)
        except Timeout:
            raise StoreBusy(f"{what} is in use by {_describe_holder(path)}") from None
    try:
        _write_note(path, purpose)
        yield
    finally:
        with contextlib.suppress(OSError):
            _note(path).unlink()
        lock.release()


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".holder")


def _write_note(path: Path, purpose: str) -> None:
    """Say who holds the lock. A reader may come at any time, so it is renamed into place; it need not be durable."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    note = {"pid": os.getpid(), "host": computer(), "purpose": purpose, "since": since}
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(open_file(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w", encoding="utf-8") as file:
            json.dump(note, file)
        replace(temporary, _note(path))
    except OSError:  # a full disk must not stop `rm`, which frees space
        with contextlib.suppress(OSError):
            temporary.unlink()


def _describe_holder(path: Path) -> str:
    try:
        note = json.loads(read_file(_note(path)))
        return f"process {note['pid']} on {note['host']} ({note['purpose']}) since {note['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
