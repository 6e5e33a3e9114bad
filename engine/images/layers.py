"""Layers: the graph driver's directories, and what makes their tars again.

Beside each layer of the driver lies ``layers/HEX/`` with its recipe and ``layer.json`` (diff id, parent, sizes).
A layer counts when both are whole: the document's folder comes first by a rename, then the driver's directory;
what a crash leaves of only one of them is removed when the store opens.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from pymachine.dockerapi.errors import EngineError
from pymachine.engine.images.archive.pipeline import Feed
from pymachine.engine.images.archive.recipe import RecipeWriter, replay
from pymachine.engine.images.archive.unpack import Unpacked, unpack
from pymachine.engine.images.chains import chain_id
from pymachine.engine.images.errors import DigestMismatch
from pymachine.engine.images.reference import hex_of
from pymachine.engine.images.settling import Settling, boot_id, is_settled, sync_file_system
from pymachine.engine.storage.base import GraphDriver
from pymachine.engine.storage.disk import read_document, remove_tree, write_document

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer in its place in a chain."""

    chain_id: str
    diff_id: str
    parent: str | None
    size: int
    """Bytes of file contents."""
    tar_size: int


class LayerStore:
    """Adds, finds and removes layers. All calls block; safe to call from several threads."""

    def __init__(self, root: Path, driver: GraphDriver) -> None:
        self._root = root / "layers"
        self._driver = driver
        self._lock = threading.Lock()
        self._layers: dict[str, Layer] = {}
        self._pins: dict[str, int] = {}
        self._tmp = root / "tmp"
        for folder in (self._root, self._tmp):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._tmp.iterdir():
            remove_tree(path)
        self._boot = boot_id()
        self._settling = Settling(self._sync)
        self._load()

    def close(self) -> None:
        """Stop what runs in the background."""
        self._settling.close()

    def get(self, chain: str) -> Layer | None:
        """The layer, if it is here whole."""
        return self._layers.get(chain)

    def all(self) -> list[Layer]:
        return list(self._layers.values())

    def add(self, file: BinaryIO, parent: str | None, diff_id: str, *, size: int | None = None) -> Layer:
        """Unpack the (compressed or plain) tar *file*, from where it stands and *size* bytes of it, over *parent*.

        Raises `DigestMismatch` when the uncompressed tar's digest is not *diff_id*, `BadArchive`, `OSError`. The
        caller holds pins on *parent* and on the result, or may lose them to `collect`.
        """
        chain = chain_id(parent, diff_id)
        if (known := self.get(chain)) is not None:
            return known
        making = self._tmp / f"layer-{os.urandom(8).hex()}"
        making.mkdir()
        try:
            with self._driver.new_layer(chain, parent) as folder:
                result = self._unpack(file, size, making, folder, diff_id)
                layer = Layer(chain, diff_id, parent, result.size, result.tar_size)
                self._publish(making, layer)
        finally:
            remove_tree(making)
        self._layers[chain] = layer
        self._settling.add([self._root / hex_of(chain)])
        return layer

    @contextmanager
    def pinned(self, chains: Iterable[str]) -> Iterator[None]:
        """Keep `collect` from removing these layers (there already, or to come) while the block runs."""
        mine = list(chains)
        with self._lock:
            for chain in mine:
                self._pins[chain] = self._pins.get(chain, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                for chain in mine:
                    self._pins[chain] -= 1
                    if not self._pins[chain]:
                        del self._pins[chain]

    def collect(self, wanted: Callable[[], Iterable[str]]) -> int:
        """Remove every layer that is neither *wanted*, nor pinned, nor below one that is, nor a container's.

        Returns the bytes freed.
        """
        freed = 0
        with self._lock:
            keep: set[str] = set()
            for chain in (*wanted(), *self._pins):
                layer = self._layers.get(chain)
                while layer is not None and layer.chain_id not in keep:
                    keep.add(layer.chain_id)
                    layer = self._layers.get(layer.parent) if layer.parent else None
            for layer in self._tops_first():
                if layer.chain_id not in keep:
                    freed += self._remove(layer)
        return freed

    def tar(self, chain: str) -> Iterator[bytes]:
        """The layer's own tar, byte for byte; raises `EngineError` at the end when it is not."""
        return self._replay(self._layers[chain])

    def _replay(self, layer: Layer) -> Iterator[bytes]:
        digest = hashlib.sha256()
        descriptor = os.open(self._driver.layer_path(layer.chain_id), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for piece in replay(self._root / hex_of(layer.chain_id), descriptor):
                digest.update(piece)
                yield piece
        finally:
            os.close(descriptor)
        if digest.hexdigest() != hex_of(layer.diff_id):
            raise EngineError(f"the files of layer {layer.diff_id} have been changed on disk")

    def _unpack(self, file: BinaryIO, size: int | None, making: Path, folder: Path, diff_id: str) -> Unpacked:
        recipe = RecipeWriter(making)
        try:
            with Feed(file, size) as feed:
                result = unpack(iter(feed), folder, recipe=recipe, keep_whiteouts=self._driver.keeps_whiteouts)
            recipe.close()
        finally:
            recipe.abandon()
        if feed.digest != diff_id:
            raise DigestMismatch(f"layer {diff_id} unpacks to {feed.digest}: the image is damaged")
        return result

    def _publish(self, making: Path, layer: Layer) -> None:
        write_document(making / "layer.json", {**asdict(layer), "boot": self._boot})
        try:
            os.rename(making, self._root / hex_of(layer.chain_id))
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise  # somebody else finished the same layer first: theirs is as good

    def _tops_first(self) -> list[Layer]:
        depth: dict[str, int] = {}

        def deep(layer: Layer) -> int:
            if layer.chain_id not in depth:
                parent = self._layers.get(layer.parent) if layer.parent else None
                depth[layer.chain_id] = 0 if parent is None else deep(parent) + 1
            return depth[layer.chain_id]

        return sorted(self._layers.values(), key=deep, reverse=True)

    def _remove(self, layer: Layer) -> int:
        self._driver.remove_layer(layer.chain_id)
        if self._driver.has_layer(layer.chain_id):
            return 0  # a container stands on it
        del self._layers[layer.chain_id]
        remove_tree(self._root / hex_of(layer.chain_id))
        return layer.size

    def _load(self) -> None:
        for folder in self._root.iterdir():
            layer = self._load_one(folder)
            if layer is None:
                remove_tree(folder)
            else:
                self._layers[layer.chain_id] = layer
        self._settling.add(folder for folder in self._root.iterdir() if not (folder / "settled").exists())
        missing = [chain for chain in self._driver.layers() if chain not in self._layers]
        for _ in range(len(missing)):  # tops first, in as many rounds as there are layers
            for chain in missing:
                self._driver.remove_layer(chain)
            missing = [chain for chain in missing if self._driver.has_layer(chain)]
            if not missing:
                break

    def _load_one(self, folder: Path) -> Layer | None:
        document = read_document(folder / "layer.json") or {}
        boot = str(document.pop("boot", ""))
        if document.keys() != Layer.__annotations__.keys() or not self._driver.has_layer(document["chain_id"]):
            _log.warning("removing what a crash left of layer %s", folder.name)
            return None
        layer = Layer(**document)
        if not is_settled(folder, boot) and not self._is_whole(layer):
            _log.warning("removing layer %s, which did not reach the disk whole", folder.name)
            return None
        return layer

    def _is_whole(self, layer: Layer) -> bool:
        try:
            for _ in self._replay(layer):
                pass
        except (EngineError, OSError):
            return False
        return True

    def _sync(self) -> None:
        sync_file_system(self._root)
        for chain in list(self._layers)[:1]:
            sync_file_system(self._driver.layer_path(chain))
