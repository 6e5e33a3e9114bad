"""Pushing images to a registry (``POST /images/{name}/push``)."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing
from typing import BinaryIO

from pymachine.dockerapi.client import HTTPError
from pymachine.dockerapi.errors import EngineError, NotFound
from pymachine.engine.images.base import Image
from pymachine.engine.images.core import Core
from pymachine.engine.images.known import KnownBlobs
from pymachine.engine.images.layers import Layer
from pymachine.engine.images.progress import Message, Meter, Send, Shared, step
from pymachine.engine.images.reference import Reference
from pymachine.engine.images.registry import upload
from pymachine.engine.images.registry.credentials import Credentials
from pymachine.engine.images.registry.endpoints import Registries
from pymachine.engine.images.registry.errors import RegistryRefused
from pymachine.engine.images.registry.manifests import DOCKER_MANIFEST, Descriptor
from pymachine.engine.images.registry.session import Session

_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_AT_ONCE = 3
_LEVEL = 4
"""Of gzip: half the time of the default for a few per cent more bytes."""


class Pusher:
    """All pushes of one service."""

    def __init__(self, core: Core, known: KnownBlobs) -> None:
        self._core = core
        self._known = known

    async def push(
        self, registries: Registries, reference: Reference, credentials: Credentials
    ) -> AsyncIterator[Message]:
        """Progress messages; without a tag all tags of the repository go. Raises an `EngineError`."""
        images = self._images(reference)
        shared = Shared(lambda send: self._push(registries, images, reference, credentials, send))
        async with aclosing(shared.follow()) as messages:
            async for message in messages:
                yield message

    def _images(self, reference: Reference) -> list[tuple[str, Image]]:
        snapshot = self._core.store.snapshot
        prefix = f"{reference.name}:"
        found = [
            (key.removeprefix(prefix), snapshot.images[target])
            for key, target in sorted(snapshot.references.items())
            if key.startswith(prefix) and "@" not in key and reference.tag in ("", key.removeprefix(prefix))
        ]
        if not found:
            what = f"tag: {reference.familiar}" if reference.tag else f"reference: {reference.familiar_name}"
            raise NotFound(f"An image does not exist locally with the {what}")
        return found

    async def _push(
        self,
        registries: Registries,
        images: list[tuple[str, Image]],
        reference: Reference,
        credentials: Credentials,
        send: Send,
    ) -> None:
        send({"status": f"The push refers to repository [{reference.name}]"})
        async with AsyncExitStack() as stack:
            try:
                session = await self._connect(registries, reference, credentials, stack)
                for tag, image in images:
                    await self._one(session, tag, image, reference, send)
            except RegistryRefused as error:
                raise _translate(error, reference) from None
            except HTTPError as error:
                raise EngineError(f"cannot push {reference.familiar_name}: {error}") from None

    async def _connect(
        self, registries: Registries, reference: Reference, credentials: Credentials, stack: AsyncExitStack
    ) -> Session:
        endpoints = [one for one in await self._core.run(registries.endpoints, reference.domain) if not one.mirror]
        for endpoint in endpoints:
            session = Session(endpoint, reference.path, credentials, actions="pull,push")
            await stack.enter_async_context(session)
            try:
                await session.ping()
                return session
            except HTTPError:
                if endpoint is endpoints[-1]:
                    raise
        raise EngineError(f"no way is known to reach {reference.domain}")

    async def _one(self, session: Session, tag: str, image: Image, reference: Reference, send: Send) -> None:
        layers = [layer for chain in image.chain_ids if (layer := self._core.layers.get(chain)) is not None]
        for layer in layers:
            send(step("Preparing", _short(layer)))
        slots = asyncio.Semaphore(_AT_ONCE)
        with self._core.layers.pinned(image.chain_ids):
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(self._layer(session, layer, slots, send)) for layer in layers]
            except BaseExceptionGroup as several:
                raise several.exceptions[0] from None
            config = await self._config(session, image)
        manifest = {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": {"mediaType": _CONFIG, "size": config.size, "digest": config.digest},
            "layers": [
                {"mediaType": _LAYER, "size": blob.size, "digest": blob.digest}
                for blob in (task.result() for task in tasks)
            ],
        }
        sent = await upload.send_manifest(session, tag, manifest)
        await self._core.run(self._core.store.name, image.id, [str(reference.at(sent.digest))])
        send({"status": f"{tag}: digest: {sent.digest} size: {sent.size}"})
        send({"progressDetail": {}, "id": "", "aux": {"Tag": tag, "Digest": sent.digest, "Size": sent.size}})
        self._core.publish("push", image.id, f"{reference.name}:{tag}")

    async def _config(self, session: Session, image: Image) -> Descriptor:
        data = await self._core.run(self._core.store.raw_config, image.id)
        blob = Descriptor(image.id, len(data))
        if not await upload.exists(session, image.id):
            with tempfile.TemporaryFile(dir=self._core.tmp) as file:
                file.write(data)
                await upload.send_blob(session, blob, file, self._core.executor, lambda sent: None)
        return blob

    async def _layer(self, session: Session, layer: Layer, slots: asyncio.Semaphore, send: Send) -> Descriptor:
        about = _short(layer)
        async with slots:
            known = await self._core.run(self._known.get, layer.diff_id)
            if known is not None and await upload.exists(session, known.digest):
                send(step("Layer already exists", about))
                return known
            meter = Meter(send, "Pushing", about, layer.tar_size)
            file: BinaryIO = await self._core.run(tempfile.TemporaryFile, dir=self._core.tmp)
            try:
                blob = await self._core.finish(_compress, self._core.layers.tar(layer.chain_id), file)
                if await upload.exists(session, blob.digest):
                    send(step("Layer already exists", about))
                else:
                    await upload.send_blob(session, blob, file, self._core.executor, meter.set)
                    send(step("Pushed", about))
            finally:
                await asyncio.shield(self._core.run(file.close))
            await self._core.run(self._known.remember, layer.diff_id, blob)
            return blob


def _compress(pieces: Iterator[bytes], file: BinaryIO) -> Descriptor:
    """gzip without a time in it, so that the same layer gives the same blob."""
    squeeze = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
    digest, size = hashlib.sha256(), 0

    def write(data: bytes) -> int:
        digest.update(data)
        file.write(data)
        return len(data)

    for piece in pieces:
        size += write(squeeze.compress(piece))
    size += write(squeeze.flush())
    file.flush()
    return Descriptor("sha256:" + digest.hexdigest(), size)


def _translate(error: RegistryRefused, reference: Reference) -> EngineError:
    if error.http_status in (401, 403):
        return EngineError(f"denied: requested access to {reference.familiar_name} is refused: {error}")
    return EngineError(f"cannot push {reference.familiar_name}: {error}")


def _short(layer: Layer) -> str:
    return layer.diff_id[7:19]
