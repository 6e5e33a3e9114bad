"""Locks between processes, and between the threads of one: flock(2) on a file that stays."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pymachine.machine.errors import DeadlineExceeded

LOCK_SECONDS = 120.0


@contextlib.contextmanager
def locked(
    path: Path, stage: str, *, wait: float = LOCK_SECONDS, waiting: Callable[[], None] = lambda: None
) -> Iterator[int]:
    """Hold a file's lock while the block runs; yields the open file, which a child may inherit to hold it on.

    *waiting* is called once when another holds it. Raises `DeadlineExceeded` after *wait* seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _acquire(handle, path, stage, wait, waiting)
        yield handle
    finally:
        os.close(handle)


def _acquire(handle: int, path: Path, stage: str, wait: float, waiting: Callable[[], None]) -> None:
    deadline = time.monotonic() + wait
    told = False
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not told:
                waiting()
                told = True
        if time.monotonic() > deadline:
            look_at = f"fuser -v {path} shows by which"
            raise DeadlineExceeded(stage, wait, last_error=f"{path} is held by another process", look_at=look_at)
        time.sleep(0.01)
