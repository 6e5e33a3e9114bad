"""An index of the machines that are to be removed by themselves: a file each, ``ROOT/expiring/NAME``, with the moment.

The record says what holds (``expires_at``). The index is there so that every command can see at once whether there is
such a machine at all; what it says too much is dropped by whoever looks closer.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pymachine.store.atomic import make_directory, replace_file, storage_errors
from pymachine.store.names import is_valid
from pymachine.store.schema import read_file


class ExpiringIndex:
    """The index in a store's root; reading makes nothing."""

    def __init__(self, root: Path) -> None:
        self._directory = root / "expiring"

    def add(self, name: str, moment: str) -> None:
        """Note the machine, durably; nothing when *moment* is empty."""
        if not moment:
            return
        path = self._directory / name
        with storage_errors("cannot write", path):
            make_directory(self._directory)
            replace_file(path, f"{moment}\n".encode())

    def drop(self, name: str) -> None:
        """Forget a machine; fine when it is not noted."""
        path = self._directory / name
        with storage_errors("cannot remove", path), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()

    def moments(self) -> dict[str, str]:
        """When each machine expires (RFC 3339), by name; empty text for what cannot be read."""
        try:
            names = os.listdir(self._directory)
        except OSError:  # none yet; and who cannot read the store is told so by what comes after
            return {}
        return {name: self._moment(name) for name in sorted(names) if is_valid(name)}

    def _moment(self, name: str) -> str:
        from datetime import datetime  # for those few who have such machines

        try:
            text = read_file(self._directory / name).decode("ascii").strip()
            datetime.fromisoformat(text)
        except (OSError, ValueError):
            return ""
        return text
