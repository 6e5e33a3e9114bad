"""One helper at a time works on a machine: the next waits until the one before it, whose client was killed, has ended.

A lock on one byte of a file that all helpers share; the kernel drops it with the process (fcntl(2), open file
description locks), and no file a machine is left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

from pymachine.machine.errors import DeadlineExceeded

POLL = 0.02
"""Seconds between attempts."""


@contextlib.contextmanager
def turn(path: Path, machine_id: str, timeout: float) -> Iterator[None]:
    """Wait for the turn on a machine, and have it while the block runs. Two machines seldom share a byte, and then
    wait for each other in vain but to no harm. Raises `DeadlineExceeded` after *timeout* seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        byte = zlib.crc32(machine_id.encode()) & 0x7FFFFFFF
        _acquire(handle, struct.pack("@hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0), timeout)
        yield
    finally:
        os.close(handle)


def _acquire(handle: int, lock: bytes, timeout: float) -> None:
    end = time.monotonic() + timeout
    while True:
        try:
            fcntl.fcntl(handle, fcntl.F_OFD_SETLK, lock)
            return
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES (fcntl(2))
            if time.monotonic() >= end:
                look_at = "pgrep -af drivers.local.privileged.helper"
                stage = "waiting for another helper to finish with the machine"
                raise DeadlineExceeded(stage, timeout, look_at=look_at) from None
        time.sleep(POLL)
