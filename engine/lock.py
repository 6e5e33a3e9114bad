"""One engine to a data root: a lock that ends with the process, and a pid file for people."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path


class AlreadyRunning(Exception):
    """Another engine has the data root."""


class EngineLock:
    """Held from construction to `release`. Only one process at a time can hold a data root's."""

    def __init__(self, data_root: Path, pidfile: Path) -> None:
        """Raises `AlreadyRunning`, and `OSError` when the folders cannot be written."""
        data_root.mkdir(mode=0o711, parents=True, exist_ok=True)
        path = data_root / "engine.lock"
        # A lock of the file itself, not of its existence: the kernel gives it back however we end.
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise AlreadyRunning(f"another engine (process {holder}) runs with data root {data_root}") from None
        os.ftruncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())
        self._pidfile = pidfile
        pidfile.parent.mkdir(parents=True, exist_ok=True)
        pidfile.write_text(f"{os.getpid()}\n", "ascii")

    def release(self) -> None:
        """Give the data root back."""
        with suppress(OSError):
            if self._pidfile.read_text("ascii").strip() == str(os.getpid()):
                self._pidfile.unlink()
        os.close(self._file)
