"""The image service: everything the API and the container service ask about images.

Reading uses the store's newest snapshot; work on disk runs in the service's threads; the event loop waits for
nothing else. Events are published when things have happened.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Sequence
from pathlib import Path
from typing import Any

from pymachine.dockerapi.filters import Filters
from pymachine.engine.events import EventBus
from pymachine.engine.images import importing, views
from pymachine.engine.images.base import Image, ImageUsers
from pymachine.engine.images.core import Core
from pymachine.engine.images.listing import listing
from pymachine.engine.images.lookup import find
from pymachine.engine.images.reference import Reference, parse
from pymachine.engine.storage.base import GraphDriver


class ImageService:
    """See the module's description. Implements `pymachine.engine.images.base.Images`."""

    def __init__(
        self,
        root: Path,
        driver: GraphDriver,
        events: EventBus,
        *,
        insecure_registries: Sequence[str] = (),
        mirrors: Sequence[str] = (),
        users: ImageUsers,
    ) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.core = Core.open(root, driver, events, users)
        """For the builder and commit, which add layers and images of their own."""

    async def get(self, reference: str) -> Image:
        """As the contract says."""
        return find(self.core.store.snapshot, reference)

    def names(self, image_id: str) -> list[str]:
        """As the contract says."""
        return views.names_of(self.core.store.snapshot, image_id)[0]

    def count(self) -> int:
        """Images, intermediate ones too."""
        return len(self.core.store.snapshot.images)

    async def summaries(
        self, filters: Filters | None = None, *, everything: bool = False, shared_size: bool = False
    ) -> list[dict[str, Any]]:
        """``GET /images/json``."""
        core = self.core
        return await core.run(
            listing,
            core.store.snapshot,
            core.layers,
            filters or Filters(),
            everything=everything,
            shared_size=shared_size,
        )

    async def inspect(self, reference: str) -> dict[str, Any]:
        """``GET /images/{name}/json``."""
        snapshot = self.core.store.snapshot
        return views.inspection(snapshot, find(snapshot, reference), self.core.layers, self.core.driver)

    async def history(self, reference: str) -> list[dict[str, Any]]:
        """``GET /images/{name}/history``."""
        snapshot = self.core.store.snapshot
        return views.history(snapshot, find(snapshot, reference), self.core.layers)

    async def import_archive(
        self,
        body: AsyncIterable[bytes],
        target: Reference | None,
        *,
        changes: Sequence[str] = (),
        message: str = "",
        platform: str = "",
    ) -> Image:
        """An image out of a root file system's tar; raises `InvalidArgument`."""
        return await importing.import_archive(
            self.core, body, target, changes=changes, message=message, platform=platform
        )

    async def tag(self, reference: str, repository: str, tag: str) -> None:
        """Give an image another name; one that another image had moves. Raises `NotFound`, `InvalidArgument`."""
        image = find(self.core.store.snapshot, reference)
        target = parse(f"{repository}:{tag}" if tag else repository).with_default_tag()
        await self.core.run(self.core.store.name, image.id, [str(target.tagged())])
        self.core.publish("tag", image.id, str(target.tagged()))

    async def disk_usage(self) -> dict[str, Any]:
        """The image part of ``GET /system/df``: all layers' bytes (``LayersSize``) and each image's share."""
        images = await self.summaries(shared_size=True)
        for entry in images:
            entry["Containers"] = len(self.core.users(entry["Id"]))
        return {"LayersSize": sum(layer.size for layer in self.core.layers.all()), "Images": images}

    async def close(self) -> None:
        """Wait for the work in progress on disk, then stop the threads."""
        await self.core.run(lambda: None)
        self.core.executor.shutdown(wait=False, cancel_futures=True)
