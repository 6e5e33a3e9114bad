"""The overlay2 driver: one directory a layer, stacked by the kernel's overlay file system.

On disk, below the driver's root::

    layers/HEX/diff        what the layer changes; whiteouts as the kernel wants them
    layers/HEX/layer.json  its parent and its short link
    l/XXXXXXXX             short link to layers/HEX/diff: many lower directories must fit one page of options
    containers/ID/diff     the writable layer (upper), work/ beside it
    containers/ID/top      a link whose text is the chain id it stands on: unlike a file's contents, a link is
                           on disk as soon as the rename is, without waiting for the disk (fsync)
    empty/                 the lower directory of an image without layers
    tmp/                   half-made things, swept when the driver opens
    mnt/                   the daemon's own mounts, swept too

A layer or container comes to exist by one rename of its finished directory.
"""

from __future__ import annotations

import base64
import errno
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pymachine.engine.runtime.spec import Rootfs
from pymachine.engine.storage import mounts
from pymachine.engine.storage.base import GraphDriver
from pymachine.engine.storage.disk import read_document, remove_tree, tree_size, write_document
from pymachine.engine.storage.names import container_name, layer_name

_log = logging.getLogger(__name__)
_NO_LAYER = "none"


@dataclass(frozen=True, slots=True)
class _Layer:
    link: str
    parent: str | None
    opaque: bool
    """Nothing below it shows: the kernel does not look for the mark on a layer's own root."""


class Overlay2Driver(GraphDriver):
    """See the module's description. Raises `OSError` when the root cannot be made or read."""

    name: ClassVar[str] = "overlay2"

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._lock = threading.Lock()
        self._layers: dict[str, _Layer] = {}
        self._containers: dict[str, str | None] = {}
        root.mkdir(mode=0o710, parents=True, exist_ok=True)
        for folder in ("layers", "l", "containers", "empty", "tmp", "mnt"):
            (root / folder).mkdir(mode=0o755 if folder == "empty" else 0o710, exist_ok=True)
        self._sweep()
        self._load()

    def has_layer(self, chain_id: str) -> bool:
        return chain_id in self._layers

    @contextmanager
    def new_layer(self, chain_id: str, parent: str | None) -> Iterator[Path]:
        name = layer_name(chain_id)
        if parent is not None and parent not in self._layers:
            raise KeyError(f"no such layer: {parent}")
        making = self._root / "tmp" / f"layer-{os.urandom(8).hex()}"
        (making / "diff").mkdir(mode=0o755, parents=True)
        try:
            yield making / "diff"
            self._publish_layer(making, name, chain_id, parent)
        finally:
            remove_tree(making)

    def remove_layer(self, chain_id: str) -> None:
        with self._lock:
            layer = self._layers.get(chain_id)
            if layer is None or self._in_use(chain_id):
                return
            del self._layers[chain_id]
            doomed = self._discard(self._root / "layers" / layer_name(chain_id))
            (self._root / "l" / layer.link).unlink(missing_ok=True)
        remove_tree(doomed)

    def layers(self) -> Iterator[str]:
        return iter(list(self._layers))

    def layer_path(self, chain_id: str) -> Path:
        if chain_id not in self._layers:
            raise KeyError(chain_id)
        return self._root / "layers" / layer_name(chain_id) / "diff"

    def create_container(self, container_id: str, top_layer: str | None) -> Rootfs:
        final = self._root / "containers" / container_name(container_id)
        making = self._root / "tmp" / f"container-{os.urandom(8).hex()}"
        for folder in ("diff", "work"):
            (making / folder).mkdir(mode=0o755 if folder == "diff" else 0o700, parents=True)
        try:
            with self._lock:
                if container_id in self._containers:
                    raise FileExistsError(f"container {container_id} has a writable layer already")
                lower = self._lower(top_layer)
                os.symlink(top_layer or _NO_LAYER, making / "top")
                os.rename(making, final)
                self._containers[container_id] = top_layer
        except BaseException:
            remove_tree(making)
            raise
        return self._rootfs(final, lower)

    def container_rootfs(self, container_id: str) -> Rootfs:
        folder = self._root / "containers" / container_name(container_id)
        return self._rootfs(folder, self._lower(self._containers[container_id]))

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
        """As the contract says. Of a running container this is a second mount of the same upper directory,
        whose view the kernel does not promise to keep in step: read a running one by ``/proc/PID/root``."""
        rootfs = self.container_rootfs(container_id)
        holder = self._root / "mnt" / os.urandom(8).hex()
        point = holder / "root"
        point.mkdir(parents=True)
        try:
            # A private mount underneath keeps the overlay from spreading into other mount namespaces
            # (mount_namespaces(7)): there it would stay and keep the directories busy.
            mounts.mount(str(holder), str(holder), "none", mounts.MS_BIND)
            mounts.mount("none", str(holder), "none", mounts.MS_PRIVATE)
            mounts.mount_overlay(
                self._root,
                os.path.relpath(point, self._root),
                [os.path.relpath(path, self._root) for path in rootfs.lower],
                os.path.relpath(rootfs.upper, self._root),
                os.path.relpath(rootfs.work, self._root),
            )
            yield point
        finally:
            self._release(holder)

    def usage(self, container_id: str) -> int:
        folder = self._root / "containers" / container_name(container_id)
        if container_id not in self._containers:
            raise KeyError(container_id)
        return tree_size(folder / "diff")

    def _rootfs(self, folder: Path, lower: list[str]) -> Rootfs:
        absolute = tuple(str(self._root / path) for path in lower)
        return Rootfs("overlay", lower=absolute, upper=str(folder / "diff"), work=str(folder / "work"))

    def _lower(self, top: str | None) -> list[str]:
        found = []
        while top is not None:
            layer = self._layers.get(top)
            if layer is None:
                raise KeyError(f"no such layer: {top}")
            found.append(f"l/{layer.link}")
            top = None if layer.opaque else layer.parent
        return found or ["empty"]

    def _in_use(self, chain_id: str) -> bool:
        return chain_id in self._containers.values() or any(one.parent == chain_id for one in self._layers.values())

    def _publish_layer(self, making: Path, name: str, chain_id: str, parent: str | None) -> None:
        link = base64.b32encode(os.urandom(5)).decode()
        opaque = _is_opaque(making / "diff")
        document = {"chain_id": chain_id, "parent": parent, "link": link, "opaque": opaque}
        write_document(making / "layer.json", document)
        with self._lock:
            if chain_id in self._layers:
                return
            if parent is not None and parent not in self._layers:
                raise KeyError(f"no such layer: {parent}")
            # The link first: one that points nowhere is swept, a layer without its link would be lost.
            (self._root / "l" / link).symlink_to(f"../layers/{name}/diff")
            os.rename(making, self._root / "layers" / name)
            self._layers[chain_id] = _Layer(link, parent, opaque)

    def _discard(self, path: Path) -> Path:
        """Make *path* vanish at once, by a rename; the slow removal comes after."""
        doomed = self._root / "tmp" / f"gone-{os.urandom(8).hex()}"
        os.rename(path, doomed)
        return doomed

    def _release(self, holder: Path) -> None:
        for point in (holder / "root", holder):
            try:
                mounts.unmount(str(point))
            except OSError:
                pass  # the mount before it had failed
        _remove_mount_points(holder)

    def _sweep(self) -> None:
        for point in mounts.mounts_below(self._root / "mnt"):
            mounts.unmount(point)
        for path in (self._root / "mnt").iterdir():
            _remove_mount_points(path)
        for path in (self._root / "tmp").iterdir():
            _log.info("removing %s, left by a crash", path)
            remove_tree(path)

    def _load(self) -> None:
        for folder in (self._root / "layers").iterdir():
            document = read_document(folder / "layer.json") or {}
            layer = _Layer(str(document.get("link")), document.get("parent"), bool(document.get("opaque")))
            if document.get("chain_id") == f"sha256:{folder.name}" and (self._root / "l" / layer.link).is_symlink():
                self._layers[document["chain_id"]] = layer
            else:
                _log.warning("dropping the damaged layer %s", folder.name)
                remove_tree(folder)
        for folder in (self._root / "containers").iterdir():
            try:
                top = os.readlink(folder / "top")
            except OSError:
                _log.warning("the writable layer of container %s is damaged", folder.name)
                continue
            self._containers[folder.name] = None if top == _NO_LAYER else top
        links = {layer.link for layer in self._layers.values()}
        for path in (self._root / "l").iterdir():
            if path.name not in links:
                path.unlink()


def _is_opaque(folder: Path) -> bool:
    try:
        return os.getxattr(folder, "trusted.overlay.opaque") == b"y"
    except OSError:
        return False


def _remove_mount_points(holder: Path) -> None:
    """Only ever empty directories: where an unmount failed, a container's files are below."""
    for path in (holder / "root", holder):
        try:
            path.rmdir()
        except OSError as error:
            if error.errno != errno.ENOENT:
                _log.warning("cannot remove the mount point %s: %s", path, error.strerror)
