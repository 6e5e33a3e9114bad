"""The image service's contract with containers and the API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Image:
    """One image on disk."""

    id: str
    """``sha256:…`` of the configuration."""
    config: dict[str, Any]
    """The image configuration document (OCI image spec / Docker image spec v1.2): ``config`` inside it holds
    Env, Cmd, Entrypoint, User, WorkingDir, Volumes, ExposedPorts, Labels, StopSignal, Healthcheck."""
    chain_ids: tuple[str, ...]
    """Of its layers, bottom first."""

    @property
    def top_layer(self) -> str | None:
        """The chain id of the topmost layer, ``None`` for an image without layers."""
        return self.chain_ids[-1] if self.chain_ids else None


@dataclass(frozen=True, slots=True)
class ImageUser:
    """A container that an image's removal would harm."""

    container_id: str
    running: bool


ImageUsers = Callable[[str], list[ImageUser]]
"""The containers made from an image id; given to the image service by the daemon."""


class Images(Protocol):
    """What the container service asks of the image service."""

    async def get(self, reference: str) -> Image:
        """By ``name[:tag]``, ``name@digest``, id or unique id prefix; raises `NotFound` with
        ``No such image: <reference with tag>`` (docker-py and the CLI match on that text)."""
        ...

    def names(self, image_id: str) -> list[str]:
        """``repository:tag`` names of an image."""
        ...

    def size(self, image_id: str) -> int:
        """Bytes of all layers of an image; 0 for one that is gone."""
        ...

    def count(self) -> int: ...
