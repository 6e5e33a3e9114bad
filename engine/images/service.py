"""The image service: everything the API and the container service ask about images.

Reading uses the store's newest snapshot; work on disk runs in the service's threads; the event loop waits for
nothing else. Events are published when things have happened.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pymachine.dockerapi.filters import Filters
from pymachine.engine.events import EventBus
from pymachine.engine.images import importing, loading, removal, saving, views
from pymachine.engine.images.base import Image, ImageUsers
from pymachine.engine.images.changes import apply_changes
from pymachine.engine.images.committing import commit
from pymachine.engine.images.core import Core
from pymachine.engine.images.known import KnownBlobs
from pymachine.engine.images.listing import is_dangling, listing, matching
from pymachine.engine.images.lookup import find
from pymachine.engine.images.progress import Message
from pymachine.engine.images.pulling import Puller
from pymachine.engine.images.pushing import Pusher
from pymachine.engine.images.reference import Reference, parse
from pymachine.engine.images.registry import endpoints
from pymachine.engine.images.registry.credentials import NOBODY, Credentials
from pymachine.engine.images.registry.download import Downloader
from pymachine.engine.images.registry.endpoints import CERTS_DIR, Registries
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
        certs_dir: Path = CERTS_DIR,
    ) -> None:
        """Opens the store: blocks. Raises `InvalidArgument` for malformed registries, `OSError`."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        endpoints.check(insecure_registries, mirrors)
        self.core = Core.open(root, driver, events, users)
        """For the builder and commit, which add layers and images of their own."""
        registries = Registries(tuple(insecure_registries), tuple(mirrors), certs_dir)
        self._removing = asyncio.Lock()  # two removals of one image must not meet
        known = KnownBlobs(root)
        known.sweep(layer.diff_id for layer in self.core.layers.all())
        self._puller = Puller(self.core, registries, Downloader(root / "partial", self.core.executor), known)
        self._pusher = Pusher(self.core, known)

    def reconfigure(self, insecure_registries: Sequence[str], mirrors: Sequence[str]) -> None:
        """Take new registry settings; pulls in progress keep theirs. Raises `InvalidArgument`."""
        endpoints.check(insecure_registries, mirrors)
        before = self._puller.registries
        self._puller.registries = replace(before, insecure=tuple(insecure_registries), mirrors=tuple(mirrors))

    async def get(self, reference: str) -> Image:
        """As the contract says."""
        return find(self.core.store.snapshot, reference)

    def names(self, image_id: str) -> list[str]:
        """As the contract says."""
        return views.names_of(self.core.store.snapshot, image_id)[0]

    def size(self, image_id: str) -> int:
        """As the contract says."""
        image = self.core.store.snapshot.images.get(image_id)
        found = (self.core.layers.get(chain) for chain in image.chain_ids) if image else ()
        return sum(layer.size for layer in found if layer is not None)

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

    def pull(
        self, reference: Reference, *, platform: str = "", credentials: Credentials = NOBODY
    ) -> AsyncIterator[Message]:
        """Progress messages while the image is fetched. Raises an `EngineError`, before the first message when
        the registry refuses."""
        return self._puller.pull(reference.with_default_tag(), platform, credentials)

    async def commit(
        self,
        container_id: str,
        image_id: str,
        config: dict[str, Any],
        target: Reference | None = None,
        *,
        changes: Sequence[str] = (),
        author: str = "",
        message: str = "",
        created_by: str = "",
    ) -> Image:
        """An image of what a container changed over the image *image_id*, with the inner *config* and then
        *changes* (Dockerfile instructions). Raises `NotFound`, `InvalidArgument`, `EngineError`."""
        parent = find(self.core.store.snapshot, image_id)
        inner = apply_changes(config, changes)
        return await commit(
            self.core, container_id, parent, inner, target, author=author, message=message, created_by=created_by
        )

    async def tag(self, reference: str, repository: str, tag: str) -> None:
        """Give an image another name; one that another image had moves. Raises `NotFound`, `InvalidArgument`."""
        image = find(self.core.store.snapshot, reference)
        target = parse(f"{repository}:{tag}" if tag else repository).with_default_tag()
        await self.core.run(self.core.store.name, image.id, [str(target.tagged())])
        self.core.publish("tag", image.id, str(target.tagged()))

    def push(self, reference: Reference, *, credentials: Credentials = NOBODY) -> AsyncIterator[Message]:
        """Progress messages while a tag, or without one the repository, is sent. Raises an `EngineError`."""
        return self._pusher.push(self._puller.registries, reference, credentials)

    def save(self, references: Sequence[str]) -> AsyncIterator[bytes]:
        """An archive of the images. Raises `NotFound` at once."""
        return saving.save(self.core, references)

    def load(self, body: AsyncIterable[bytes]) -> AsyncIterator[Message]:
        """Load all images of an archive; a message for each name. Raises `InvalidArgument`."""
        return loading.load(self.core, body)

    async def remove(self, reference: str, *, force: bool = False, prune: bool = True) -> list[dict[str, str]]:
        """``DELETE /images/{name}``. Raises `NotFound`, `Conflict`."""
        async with self._removing:
            return await removal.remove(self.core, reference, force=force, prune=prune)

    async def prune(self, filters: Filters | None = None) -> dict[str, Any]:
        """``POST /images/prune``: dangling images, or with ``dangling=false`` all that no container uses."""
        wanted = filters or Filters()
        only_dangling = wanted.flag("dangling", default=True)
        snapshot = self.core.store.snapshot
        rest = Filters({key: wanted.values(key) for key in ("label", "label!", "until")})
        async with self._removing:
            images = [
                image
                for image in await self.core.run(matching, snapshot, rest)
                if not only_dangling or is_dangling(snapshot, image)
            ]
            deleted, freed = await removal.prune(self.core, images)
            freed += await self.core.run(self._puller.downloader.forget)
        self.core.events.publish("image", "prune", "", {"reclaimed": str(freed)})
        return {"ImagesDeleted": deleted or None, "SpaceReclaimed": freed}

    async def distribution(self, reference: Reference, credentials: Credentials = NOBODY) -> dict[str, Any]:
        """``GET /distribution/{name}/json``: what the registry has, nothing is fetched. Raises an `EngineError`."""
        return await self._puller.describe(reference.with_default_tag(), credentials)

    async def disk_usage(self) -> dict[str, Any]:
        """The image part of ``GET /system/df``: all layers' bytes (``LayersSize``) and each image's share."""
        images = await self.summaries(shared_size=True)
        for entry in images:
            entry["Containers"] = len(self.core.users(entry["Id"]))
        return {"LayersSize": sum(layer.size for layer in self.core.layers.all()), "Images": images}

    async def close(self) -> None:
        """Cancel pulls, wait for the work in progress on disk, stop the threads."""
        await self._puller.close()
        self.core.layers.close()
        await self.core.run(lambda: None)
        self.core.executor.shutdown(wait=False, cancel_futures=True)
