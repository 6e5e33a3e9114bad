"""Container documents on disk: ``<root>/<id>/config.json``, each replaced atomically.

A document is written to a temporary file and renamed, so a reader and a crashed daemon's successor see the
old or the new one. It is not fsynced on the way: after a power cut every container has ended anyway, what
the state said no longer holds, and ext4 and XFS order a replacing rename after the data. Waiting for the
disk here would cost each start several milliseconds. New documents are flushed after the answer went out.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from pymachine.engine.containers.model import Container, from_document, to_document

_log = logging.getLogger(__name__)
_ID = re.compile(r"[0-9a-f]{64}\Z")


class Documents:
    """Reads and writes the documents below one directory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(mode=0o710, parents=True, exist_ok=True)

    def folder(self, container_id: str) -> Path:
        """The container's own directory (its log and its files in ``/etc`` lie there too)."""
        return self._root / container_id

    def save(self, container: Container) -> None:
        """Write the container's document, making its directory when missing."""
        target = f"{self._root}/{container.id}/config.json"
        data = json.dumps(to_document(container), separators=(",", ":")).encode()
        try:
            _replace(target, data)
        except FileNotFoundError:
            self._make(container.id, data)

    def _make(self, container_id: str, data: bytes) -> None:
        """The directory and its document come to exist together, by one rename."""
        making = f"{self._root}/.{container_id}"
        os.mkdir(making, 0o710)
        try:
            _replace(f"{making}/config.json", data)
            os.rename(making, f"{self._root}/{container_id}")
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise

    def known(self) -> set[str]:
        """The ids of all containers on disk, damaged documents included."""
        return {name for name in os.listdir(self._root) if _ID.match(name)}

    def flush(self, container_id: str) -> None:
        """Force a document to the disk; quietly nothing when it has gone meanwhile. Blocks."""
        for path in (self.folder(container_id) / "config.json", self.folder(container_id), self._root):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def remove(self, container_id: str) -> None:
        """Remove the container's directory; fine when absent."""
        shutil.rmtree(self.folder(container_id), ignore_errors=True)

    def load(self) -> Iterator[Container]:
        """Every container on disk; a damaged document is skipped with a logged line."""
        for folder in sorted(self._root.iterdir()):
            if not _ID.match(folder.name):
                if folder.name.startswith("."):
                    shutil.rmtree(folder, ignore_errors=True)  # half made when a daemon was killed
                continue
            try:
                container = from_document(json.loads((folder / "config.json").read_bytes()))
                if container.id != folder.name:
                    raise ValueError(f"it is about {container.id}")
            except (OSError, ValueError) as error:
                _log.error("container %s skipped, its document is damaged: %s", folder.name[:12], error)
                continue
            yield container


def _replace(target: str, data: bytes) -> None:
    temporary = target + ".new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        while data:  # a disk that fills up takes a part of it, and refuses the rest only then
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)
    os.rename(temporary, target)
