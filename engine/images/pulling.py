"""Pulling an image from a registry (``POST /images/create?fromImage=…``)."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from typing import Any, BinaryIO, cast

from pymachine.dockerapi.client import ConnectFailed, HTTPError
from pymachine.dockerapi.errors import EngineError, NotFound
from pymachine.engine.images import platforms
from pymachine.engine.images.base import Image
from pymachine.engine.images.chains import chain_ids
from pymachine.engine.images.core import Core
from pymachine.engine.images.errors import DigestMismatch
from pymachine.engine.images.known import KnownBlobs
from pymachine.engine.images.progress import Message, Meter, Send, Shared, step
from pymachine.engine.images.reference import Reference
from pymachine.engine.images.registry import manifests
from pymachine.engine.images.registry.credentials import Credentials
from pymachine.engine.images.registry.download import Downloader, fetch_small
from pymachine.engine.images.registry.endpoints import Registries
from pymachine.engine.images.registry.errors import RegistryRefused, translate
from pymachine.engine.images.registry.manifests import Descriptor, Document
from pymachine.engine.images.registry.session import Session
from pymachine.engine.images.store import parse_config

_CONFIG_LIMIT = 8 << 20
_SHORT = 12


async def connect(
    registries: Registries, core: Core, reference: Reference, credentials: Credentials, stack: AsyncExitStack
) -> tuple[Session, Document]:
    """A session with the first endpoint that has *reference*, and what it names there.

    Mirrors get no credentials: they are not the registry these are for. Raises an `EngineError`.
    """
    endpoints = await core.run(registries.endpoints, reference.domain)
    failures: list[str] = []
    for endpoint in endpoints:
        last = endpoint is endpoints[-1]
        who = Credentials() if endpoint.mirror else credentials
        session = await stack.enter_async_context(Session(endpoint, reference.path, who))
        try:
            return session, await manifests.fetch(session, reference.digest or reference.tag)
        except RegistryRefused as error:
            if not endpoint.mirror:
                raise translate(error, reference) from None
        except (HTTPError, DigestMismatch) as error:
            text = f'Get "{endpoint.url}/v2/": {error}'
            # An insecure registry may speak no TLS: that is for the next endpoint to find out.
            failures.append(text)
            if last or not (endpoint.mirror or isinstance(error, HTTPError)):
                raise EngineError(_reason(failures)) from None
    raise NotFound(f"no registry serves {reference.familiar}")


def _reason(failures: list[str]) -> str:
    return failures[-1] if len(failures) == 1 else "; ".join(failures)


class Puller:
    """All pulls of one service."""

    def __init__(self, core: Core, registries: Registries, downloader: Downloader, known: KnownBlobs) -> None:
        self._core = core
        self._known = known
        self.registries = registries
        self.downloader = downloader
        self._running: dict[tuple[str, str, Credentials], Shared] = {}

    async def pull(self, reference: Reference, platform: str, credentials: Credentials) -> AsyncIterator[Message]:
        """Progress messages; pulls of the same image at the same time are one. Raises an `EngineError`."""
        wanted = platforms.parse(platform)
        key = (str(reference), str(wanted), credentials)
        shared = self._running.get(key)
        if shared is None or shared.task.done():
            shared = Shared(lambda send: self._pull(reference, wanted, credentials, send))
            self._running[key] = shared
            shared.task.add_done_callback(lambda task: self._ended(key, task))
        async with aclosing(shared.follow()) as messages:
            async for message in messages:
                yield message

    async def describe(self, reference: Reference, credentials: Credentials) -> dict[str, Any]:
        """``DistributionInspect`` of API 1.47."""
        async with AsyncExitStack() as stack:
            session, document = await connect(self.registries, self._core, reference, credentials, stack)
            if document.is_index:
                offered = manifests.platforms(document)
            else:
                manifest = manifests.parse(document)
                try:
                    config, _ = parse_config(await fetch_small(session, manifest.config, _CONFIG_LIMIT))
                except HTTPError as error:
                    raise EngineError(f"cannot inspect {reference.familiar}: {error}") from None
                names = ("architecture", "os", "variant")
                offered = [{name: config[name] for name in names if isinstance(config.get(name), str)}]
        described = {"mediaType": document.media_type, "digest": document.digest, "size": document.size}
        return {"Descriptor": described, "Platforms": offered}

    async def close(self) -> None:
        """Cancel what is running."""
        tasks = [shared.task for shared in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, key: tuple[str, str, Credentials], task: asyncio.Future[None]) -> None:
        if (shared := self._running.get(key)) is not None and shared.task is task:
            del self._running[key]
        if not task.cancelled():
            task.exception()  # seen, also when the last follower has gone

    async def _pull(
        self, reference: Reference, platform: platforms.Platform | None, credentials: Credentials, send: Send
    ) -> None:
        async with AsyncExitStack() as stack:
            session, document = await connect(self.registries, self._core, reference, credentials, stack)
            try:
                manifest = await manifests.resolve(session, document, platform or platforms.host(), reference)
                send({"status": f"Pulling from {reference.familiar_name}", "id": reference.tag or reference.digest})
                data = await fetch_small(session, manifest.config, _CONFIG_LIMIT)
                self._check(data, manifest, platform, reference)
                image, new = await self._layers(session, manifest, data, send)
            except RegistryRefused as error:
                raise translate(error, reference) from None
            except (HTTPError, ConnectFailed) as error:
                raise EngineError(f"cannot pull {reference.familiar}: {error}") from None
        names = [str(reference.at(document.digest))]
        if not reference.digest:
            names.append(str(reference.tagged()))
        before = self._core.store.snapshot.references
        new = new or any(before.get(name) != image.id for name in names)
        await self._core.run(self._core.store.name, image.id, names)
        send({"status": f"Digest: {document.digest}"})
        what = "Downloaded newer image" if new else "Image is up to date"
        send({"status": f"Status: {what} for {reference.familiar}"})
        self._core.publish("pull", image.id, str(reference))

    def _check(
        self, data: bytes, manifest: manifests.Manifest, platform: platforms.Platform | None, reference: Reference
    ) -> None:
        config, diff_ids = parse_config(data)
        if len(diff_ids) != len(manifest.layers):
            raise EngineError(f"{reference.familiar} has {len(manifest.layers)} layers but {len(diff_ids)} diff ids")
        found = platforms.Platform(str(config.get("os") or "linux"), str(config.get("architecture") or ""))
        if found.os != "linux":
            raise EngineError(f"image operating system {found.os!r} cannot be used on this platform")
        if platform is not None and found.architecture and found.architecture != platform.architecture:
            raise NotFound(
                f"image with reference {reference.familiar} was found but does not match the specified platform: "
                f"wanted {platform}, actual: {found}"
            )

    async def _layers(
        self, session: Session, manifest: manifests.Manifest, data: bytes, send: Send
    ) -> tuple[Image, bool]:
        _, diff_ids = parse_config(data)
        chains = chain_ids(diff_ids)
        with self._core.layers.pinned(chains):
            missing = [number for number, chain in enumerate(chains) if self._core.layers.get(chain) is None]
            for number, layer in enumerate(manifest.layers):
                status = "Pulling fs layer" if number in missing else "Already exists"
                send(step(status, layer.digest[7 : 7 + _SHORT]))
            await self._fetch(session, manifest, diff_ids, chains, missing, send)
            return await self._core.run(self._core.store.add, data)

    async def _fetch(
        self,
        session: Session,
        manifest: manifests.Manifest,
        diff_ids: list[str],
        chains: tuple[str, ...],
        missing: list[int],
        send: Send,
    ) -> None:
        """Download all missing layers side by side, unpack them in order, each as soon as it and those below
        are there."""
        below: asyncio.Event | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for number in missing:
                    parent = chains[number - 1] if number else None
                    done = asyncio.Event()
                    group.create_task(
                        self._one(session, manifest.layers[number], diff_ids[number], parent, below, done, send)
                    )
                    below = done
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None  # the first that failed; it made the others stop

    async def _one(
        self,
        session: Session,
        layer: Descriptor,
        diff_id: str,
        parent: str | None,
        below: asyncio.Event | None,
        done: asyncio.Event,
        send: Send,
    ) -> None:
        about = layer.digest[7 : 7 + _SHORT]
        async with self.downloader.blob(session, layer, about, send) as file:
            send(step("Download complete", about))
            if below is not None:
                await below.wait()
            meter = Meter(send, "Extracting", about, layer.size)
            counted = cast(BinaryIO, io.BufferedReader(_Counted(file, meter.add), 1 << 18))
            await self._core.finish(self._core.layers.add, counted, parent, diff_id)
        await self._core.run(self._known.remember, diff_id, layer)
        send(step("Pull complete", about))
        done.set()


class _Counted(io.RawIOBase):
    """A file that tells how much of it has been read."""

    def __init__(self, file: BinaryIO, tell: Callable[[int], None]) -> None:
        self._file = file
        self._tell = tell

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        size = self._file.readinto(buffer)  # type: ignore[attr-defined]
        self._tell(size)
        return int(size)
