"""The graph driver's contract: read-only layers and one writable layer a container."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

from pymachine.engine.runtime.spec import Rootfs


class GraphDriver(ABC):
    """Stores layers on disk. All calls block: run them in a thread. Safe to call from several threads.

    Layers are named by chain id (OCI image spec, "Layer ChainID"), containers by container id.
    """

    name: ClassVar[str]
    keeps_whiteouts: ClassVar[bool] = True
    """Whether a layer's directory holds its difference only, with deletions as whiteouts (a 0/0 character device,
    ``trusted.overlay.opaque``); otherwise it starts as a copy of the parent and deletions are carried out."""

    @abstractmethod
    def has_layer(self, chain_id: str) -> bool:
        """Whether the layer is whole on disk (never true for one that a crash left half-made)."""

    @abstractmethod
    def new_layer(self, chain_id: str, parent: str | None) -> AbstractContextManager[Path]:
        """A directory to unpack a layer's difference into; becomes the layer when the block ends without
        an error, and vanishes otherwise. Two at once for the same id: the first to end wins, quietly."""

    @abstractmethod
    def remove_layer(self, chain_id: str) -> None:
        """Remove a layer; fine when absent. Kept, quietly, while a container or another layer stands on it."""

    @abstractmethod
    def layers(self) -> Iterator[str]:
        """The chain ids of all whole layers."""

    @abstractmethod
    def layer_path(self, chain_id: str) -> Path:
        """The directory that `new_layer` gave out, of a whole layer; only for reading. `KeyError` if absent."""

    @abstractmethod
    def create_container(self, container_id: str, top_layer: str | None) -> Rootfs:
        """Make a container's writable layer over *top_layer* and say how its root is mounted."""

    @abstractmethod
    def container_rootfs(self, container_id: str) -> Rootfs:
        """How an existing container's root is mounted; `KeyError` when there is none."""

    @abstractmethod
    def containers(self) -> Iterator[str]:
        """The ids of all containers that have a writable layer."""

    @abstractmethod
    def remove_container(self, container_id: str) -> None:
        """Remove a container's writable layer; fine when absent."""

    @abstractmethod
    def mounted(self, container_id: str) -> AbstractContextManager[Path]:
        """The container's root file system as a directory of the daemon's, while the block runs (cp, export)."""

    @abstractmethod
    def usage(self, container_id: str) -> int:
        """Bytes in the container's writable layer."""
