"""Which store a command works on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pymachine.store.base import Store
from pymachine.store.file import FileStore


def open_store(storage_path: str | None, env: Mapping[str, str]) -> Store:
    """The store in ``--storage-path``, else ``MACHINE_STORAGE_PATH``, else ``~/.pymachine``; makes nothing."""
    path = storage_path or env.get("MACHINE_STORAGE_PATH") or "~/.pymachine"
    home = env.get("HOME")
    if home and (path == "~" or path.startswith("~/")):
        return FileStore(Path(home, path[2:]))
    return FileStore(Path(path).expanduser())
