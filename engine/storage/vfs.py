"""The vfs driver: every layer and every container is a whole copy. Slow and large, and works anywhere.

On disk, below the driver's root: ``layers/HEX/tree`` and ``containers/ID/tree``, a document beside each, and
``tmp/`` for half-made ones, swept when the driver opens. Things come to exist by one rename.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from pymachine.engine.runtime.spec import Rootfs
from pymachine.engine.storage.base import GraphDriver
from pymachine.engine.storage.copytree import copy_tree
from pymachine.engine.storage.disk import read_document, remove_tree, write_document
from pymachine.engine.storage.names import container_name, layer_name

_log = logging.getLogger(__name__)


class VfsDriver(GraphDriver):
    """See the module's description."""

    name: ClassVar[str] = "vfs"
    keeps_whiteouts: ClassVar[bool] = False

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._lock = threading.Lock()
        for folder in ("layers", "containers", "tmp"):
            (root / folder).mkdir(mode=0o710, parents=True, exist_ok=True)
        for path in (root / "tmp").iterdir():
            _log.info("removing %s, left by a crash", path)
            remove_tree(path)
        self._layers = self._load("layers")
        self._containers = self._load("containers")

    def has_layer(self, chain_id: str) -> bool:
        return chain_id in self._layers

    @contextmanager
    def new_layer(self, chain_id: str, parent: str | None) -> Iterator[Path]:
        final = self._root / "layers" / layer_name(chain_id)
        with self._making(parent) as making:
            yield making / "tree"
            write_document(making / "about.json", {"id": chain_id, "below": parent})
            with self._lock:
                if chain_id not in self._layers:
                    os.rename(making, final)
                    self._layers[chain_id] = parent

    def remove_layer(self, chain_id: str) -> None:
        with self._lock:
            if chain_id not in self._layers or chain_id in self._containers.values():
                return
            if chain_id in self._layers.values():
                return
            del self._layers[chain_id]
            doomed = self._discard(self._root / "layers" / layer_name(chain_id))
        remove_tree(doomed)

    def layers(self) -> Iterator[str]:
        return iter(list(self._layers))

    def layer_path(self, chain_id: str) -> Path:
        if chain_id not in self._layers:
            raise KeyError(chain_id)
        return self._root / "layers" / layer_name(chain_id) / "tree"

    def create_container(self, container_id: str, top_layer: str | None) -> Rootfs:
        final = self._root / "containers" / container_name(container_id)
        with self._making(top_layer) as making:
            write_document(making / "about.json", {"id": container_id, "below": top_layer})
            with self._lock:
                if container_id in self._containers:
                    raise FileExistsError(f"container {container_id} has a writable layer already")
                os.rename(making, final)
                self._containers[container_id] = top_layer
        return Rootfs("bind", source=str(final / "tree"))

    def container_rootfs(self, container_id: str) -> Rootfs:
        return Rootfs("bind", source=str(self._tree(container_id)))

    def containers(self) -> Iterator[str]:
        return iter(list(self._containers))

    def remove_container(self, container_id: str) -> None:
        with self._lock:
            if container_id not in self._containers:
                return
            doomed = self._discard(self._root / "containers" / container_name(container_id))
            del self._containers[container_id]
        remove_tree(doomed)

    @contextmanager
    def mounted(self, container_id: str) -> Iterator[Path]:
        yield self._tree(container_id)

    def usage(self, container_id: str) -> int:
        """Bytes in the files that differ, by size or time, from the layer the container was copied from."""
        tree, below = self._tree(container_id), self._containers[container_id]
        base = self._root / "layers" / layer_name(below) / "tree" if below else self._root / "tmp" / "nothing"
        total = 0
        for folder, _, files in os.walk(tree):
            for name in files:
                path = os.path.join(folder, name)
                try:
                    status = os.lstat(path)
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(status.st_mode) and not _same(status, base / os.path.relpath(path, tree)):
                    total += status.st_size
        return total

    def _tree(self, container_id: str) -> Path:
        if container_id not in self._containers:
            raise KeyError(container_id)
        return self._root / "containers" / container_name(container_id) / "tree"

    @contextmanager
    def _making(self, below: str | None) -> Iterator[Path]:
        if below is not None and below not in self._layers:
            raise KeyError(f"no such layer: {below}")
        making = self._root / "tmp" / os.urandom(8).hex()
        (making / "tree").mkdir(mode=0o755, parents=True)
        try:
            if below is not None:
                copy_tree(str(self._root / "layers" / layer_name(below) / "tree"), str(making / "tree"))
            yield making
        finally:
            remove_tree(making)

    def _discard(self, path: Path) -> Path:
        doomed = self._root / "tmp" / os.urandom(8).hex()
        os.rename(path, doomed)
        return doomed

    def _load(self, kind: str) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for folder in (self._root / kind).iterdir():
            document = read_document(folder / "about.json")
            if document is None:
                _log.warning("%s of %s is damaged and left alone", folder.name, kind)
                continue
            found[document["id"]] = document["below"]
        return found


def _same(status: os.stat_result, other: Path) -> bool:
    try:
        before = os.lstat(other)
    except OSError:
        return False
    return (before.st_size, before.st_mtime_ns) == (status.st_size, status.st_mtime_ns)
