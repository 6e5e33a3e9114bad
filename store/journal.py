"""A journal in a file: one JSON line an event, appended and synced, so that a crash loses no finished call.

A crash may tear the last line; it is passed over, and the next event begins on a new line.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pymachine.store.atomic import make_directory, storage_errors, sync_directory
from pymachine.store.portable import open_file
from pymachine.store.schema import read_file


class FileJournal:
    """The `pymachine.store.base.Journal` in *path*; nothing is made before the first event."""

    def __init__(self, path: str | Path) -> None:
        self._place = path

    @property
    def _path(self) -> Path:
        return Path(self._place)  # only now: drivers get a journal with every machine, and most never look into it

    def done(self, step: str) -> bool:
        """Whether *step* was completed by this or an earlier attempt."""
        return any(event["event"] == "complete" and event["step"] == step for event in self._events())

    def begin(self, step: str, **facts: Any) -> None:
        """Before something outside comes to exist: say what it will be called."""
        self._append("begin", step, facts)

    def complete(self, step: str, **facts: Any) -> None:
        """After: say what it is."""
        self._append("complete", step, facts)

    def facts(self) -> Mapping[str, Any]:
        """All facts of all steps so far, later ones winning."""
        merged: dict[str, Any] = {}
        for event in self._events():
            merged.update(event["facts"])
        return merged

    def clear(self) -> None:
        """Forget everything: the operation has ended well."""
        with storage_errors("cannot remove", self._path), contextlib.suppress(FileNotFoundError):
            self._path.unlink()
            sync_directory(self._path.parent)

    def _events(self) -> Iterator[dict[str, Any]]:
        with storage_errors("cannot read", self._path):
            try:
                content = read_file(self._path)
            except FileNotFoundError:
                return
        for line in content.splitlines():
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                continue  # torn by a crash
            if _is_event(event):
                yield event

    def _append(self, kind: str, step: str, facts: dict[str, Any]) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"at": at, "event": kind, "step": step, "facts": facts}, allow_nan=False).encode() + b"\n"
        with storage_errors("cannot write", self._path):
            make_directory(self._path.parent)
            handle = open_file(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            try:
                _append_line(handle, line)
            finally:
                os.close(handle)
            sync_directory(self._path.parent)


def _last_byte(handle: int, size: int) -> bytes:
    os.lseek(handle, size - 1, os.SEEK_SET)
    return os.read(handle, 1)


def _append_line(handle: int, line: bytes) -> None:
    """Write and sync the whole line, or take back what a full disk let through."""
    size = os.fstat(handle).st_size
    if size and _last_byte(handle, size) != b"\n":
        line = b"\n" + line
    try:
        view = memoryview(line)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(handle, size)
        raise


def _is_event(event: Any) -> bool:
    return (
        isinstance(event, dict)
        and event.get("event") in ("begin", "complete")
        and isinstance(event.get("step"), str)
        and isinstance(event.get("facts"), dict)
    )
