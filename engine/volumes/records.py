"""Volumes on disk: ``<root>/<name>/volume.json`` beside ``<root>/<name>/_data``."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)
_VERSION = 1
_REMOVING = ".removing-"
ANONYMOUS = "com.docker.volume.anonymous"
"""The label that marks a volume nobody named (Engine API 1.42+)."""


@dataclass(frozen=True, slots=True)
class VolumeRecord:
    """One volume of the local driver."""

    name: str
    created: str
    labels: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)

    @property
    def anonymous(self) -> bool:
        return ANONYMOUS in self.labels


class VolumeStore:
    """The folder of all volumes."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def data(self, name: str) -> Path:
        """The directory that containers see."""
        return self._root / name / "_data"

    def load(self) -> dict[str, VolumeRecord]:
        """All volumes; a damaged one is logged and left alone. Finishes removals that were cut short."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o711)
        found = {}
        for folder in sorted(self._root.iterdir()):
            if folder.name.startswith(_REMOVING):
                shutil.rmtree(folder, ignore_errors=True)
                continue
            try:
                record = _parse(json.loads((folder / "volume.json").read_text()), folder.name)
                found[record.name] = record
            except FileNotFoundError:
                _drop_half_made(folder)
            except (OSError, ValueError, TypeError, KeyError) as error:
                _log.error("volume record in %s is damaged and was left out: %s", folder, error)
        return found

    def make(self, name: str, labels: dict[str, str], options: dict[str, str]) -> VolumeRecord:
        """A new volume: it exists once its record does, written last and atomically."""
        record = VolumeRecord(
            name, datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"), labels, options
        )
        folder = self._root / name
        folder.mkdir(exist_ok=True, mode=0o701)
        (folder / "_data").mkdir(exist_ok=True, mode=0o755)
        os.chmod(folder / "_data", 0o755)  # whatever the umask
        temporary = folder / "volume.json.tmp"
        with open(temporary, "w", opener=_private) as file:
            json.dump({"version": _VERSION, **dataclasses.asdict(record)}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, folder / "volume.json")
        _sync(folder)
        return record

    def delete(self, name: str) -> None:
        """The volume and its data are no more: first by one rename, then file by file."""
        doomed = self._root / f"{_REMOVING}{secrets.token_hex(8)}"
        try:
            (self._root / name).rename(doomed)
        except FileNotFoundError:
            return
        _sync(self._root)
        shutil.rmtree(doomed)


def _drop_half_made(folder: Path) -> None:
    """Remove what is left of a creation that was cut short before the volume existed; never data."""
    (folder / "volume.json.tmp").unlink(missing_ok=True)
    for path in (folder / "_data", folder):
        with suppress(OSError):
            path.rmdir()


def _parse(document: Any, name: str) -> VolumeRecord:
    version = document.pop("version")
    if version != _VERSION:
        raise ValueError(f"it has version {version}; this engine knows {_VERSION}")
    record = VolumeRecord(**document)
    if record.name != name:
        raise ValueError(f"it is of a volume named {record.name!r}")
    return record


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
