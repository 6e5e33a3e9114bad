"""A machine's log of work: a line an event with its time (RFC 3339, UTC), bounded in size."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path

from pymachine.machine.errors import MachineError
from pymachine.machine.log.redact import one_line
from pymachine.store.portable import open_file, replace

NAME = "provision.log"
"""In the machine's directory."""
LARGEST = 1 << 20
"""Bytes; a bigger file becomes the former one (``provision.log.1``), which is forgotten then."""


class WorkLog:
    """The log in a machine's directory. Writing never fails: no work is given up because nobody can note it."""

    def __init__(self, directory: Path) -> None:
        """Makes nothing."""
        self.path = directory / NAME
        self._former = directory / f"{NAME}.1"

    def write(self, text: str) -> None:
        """Add a line; secrets in it are left out."""
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with contextlib.suppress(OSError):
            self._make_room()
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            with open(open_file(self.path, flags), "wb") as file:
                file.write(f"{stamp} {one_line(text)}\n".encode())

    def read(self) -> list[str]:
        """All lines, the oldest first; none when nothing was done yet."""
        lines: list[str] = []
        for path in (self._former, self.path):
            try:
                lines += path.read_text(encoding="utf-8", errors="replace").splitlines()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise MachineError(f"cannot read {path}: {error.strerror or error}") from error
        return lines

    def _make_room(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if self.path.stat().st_size > LARGEST:
                replace(self.path, self._former)
