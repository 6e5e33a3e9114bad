"""Fetching blobs to disk: verified, resumed after interruptions, retried.

A blob grows in ``partial/HEX``; what is there is kept over failures and restarts, and the next attempt asks for
the rest (RFC 9110, section 14.2). Only bytes whose digest is right are ever given out.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

from pymachine.dockerapi.client import ClientResponse, HTTPError
from pymachine.dockerapi.errors import EngineError
from pymachine.engine.images.errors import DigestMismatch
from pymachine.engine.images.progress import Meter, Send, step
from pymachine.engine.images.reference import hex_of
from pymachine.engine.images.registry.errors import RegistryRefused
from pymachine.engine.images.registry.manifests import Descriptor
from pymachine.engine.images.registry.session import Session

_log = logging.getLogger(__name__)

_T = TypeVar("_T")
_AT_ONCE = 3
_ATTEMPTS = 6
_BATCH = 1 << 20
_KEPT = 7 * 24 * 3600.0
"""Seconds that an unfinished blob waits for the next attempt."""


class _Partial:
    """An unfinished blob's file and the digest so far. Its methods block."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "r+b" if path.exists() else "x+b")  # noqa: SIM115 - closed by close()
        self._hash = hashlib.sha256()
        self.size = 0
        while piece := self._file.read(_BATCH):
            self._hash.update(piece)
            self.size += len(piece)

    def write(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self._file.write(piece)
            self._hash.update(piece)
            self.size += len(piece)

    def restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._hash, self.size = hashlib.sha256(), 0

    def digest(self) -> str:
        self._file.flush()
        return "sha256:" + self._hash.hexdigest()

    def close(self) -> None:
        self._file.close()


class Downloader:
    """Downloads for all pulls of one service; the same blob only once at a time."""

    def __init__(self, folder: Path, executor: Executor, *, first_delay: float = 1.0) -> None:
        self._folder = folder
        self._executor = executor
        self._first_delay = first_delay
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._locks: dict[str, asyncio.Lock] = {}
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in folder.iterdir():
            if time.time() - path.stat().st_mtime > _KEPT:
                path.unlink()

    @asynccontextmanager
    async def blob(self, session: Session, wanted: Descriptor, about: str, send: Send) -> AsyncIterator[BinaryIO]:
        """The blob as an open file, verified; its file on disk goes with the block, if that ends well."""
        path = self._folder / hex_of(wanted.digest)
        lock = self._locks.setdefault(wanted.digest, asyncio.Lock())
        async with lock, self._slots:
            await self._complete(path, session, wanted, about, send)
            file = await self._run(lambda: open(path, "rb"))  # noqa: SIM115 - closed below
        try:
            with file:
                yield file
            await self._run(lambda: path.unlink(missing_ok=True))  # freeing a large file takes its time
        finally:
            if not lock.locked():
                self._locks.pop(wanted.digest, None)

    def forget(self) -> int:
        """Remove unfinished blobs that nobody is fetching; bytes freed."""
        freed = 0
        for path in self._folder.iterdir():
            if f"sha256:{path.name}" not in self._locks:
                freed += path.stat().st_size
                path.unlink(missing_ok=True)
        return freed

    async def _complete(self, path: Path, session: Session, wanted: Descriptor, about: str, send: Send) -> None:
        partial = await self._run(lambda: _Partial(path))
        try:
            delay = self._first_delay
            for attempt in range(_ATTEMPTS):
                try:
                    await self._attempt(partial, session, wanted, about, send)
                    return
                except (HTTPError, EngineError) as error:
                    if attempt == _ATTEMPTS - 1 or _lasting(error, attempt):
                        raise
                    _log.info("fetching %s failed, trying again: %s", wanted.digest, error)
                    await self._pause(delay, about, send)
                    delay *= 2
        finally:
            await asyncio.shield(self._run(partial.close))

    async def _pause(self, delay: float, about: str, send: Send) -> None:
        left = delay
        while left > 0:
            seconds = max(1, round(left))
            send(step(f"Retrying in {seconds} second{'s' if seconds > 1 else ''}", about))
            await asyncio.sleep(min(left, 1.0))
            left -= 1.0

    async def _attempt(self, partial: _Partial, session: Session, wanted: Descriptor, about: str, send: Send) -> None:
        if partial.size > wanted.size:
            await self._run(partial.restart)
        if partial.size < wanted.size:
            headers = {"Range": f"bytes={partial.size}-"} if partial.size else {}
            async with await session.get(f"blobs/{wanted.digest}", headers) as response:
                if partial.size and response.status != 206:
                    await self._run(partial.restart)
                await self._receive(partial, response, wanted, Meter(send, "Downloading", about, wanted.size))
        send(step("Verifying Checksum", about))
        if await self._run(partial.digest) != wanted.digest:
            await self._run(partial.restart)
            raise DigestMismatch(f"filesystem layer verification failed for digest {wanted.digest}")

    async def _receive(self, partial: _Partial, response: ClientResponse, wanted: Descriptor, meter: Meter) -> None:
        """Write the body; the next pieces arrive while the last ones are written and hashed."""
        writing: asyncio.Future[None] | None = None
        pieces: list[bytes] = []
        held, total = 0, partial.size
        try:
            async for piece in response:
                pieces.append(piece)
                held += len(piece)
                if held >= _BATCH:
                    total += held
                    if total > wanted.size:
                        break
                    if writing is not None:
                        await writing
                    writing = self._run(_call(partial.write, pieces))
                    pieces, held = [], 0
                    meter.set(total)
        finally:
            # What has arrived counts, also when the connection breaks: the next attempt goes on from there.
            if writing is not None:
                await asyncio.shield(writing)
            if partial.size + held <= wanted.size:
                await asyncio.shield(self._run(_call(partial.write, pieces)))
        if partial.size != wanted.size or total > wanted.size:
            await self._run(partial.restart)
            raise DigestMismatch(f"the registry sent {total + held} bytes instead of {wanted.size}")
        meter.set(total)

    def _run(self, function: Callable[[], _T]) -> asyncio.Future[_T]:
        return asyncio.get_running_loop().run_in_executor(self._executor, function)


def _lasting(error: Exception, attempt: int) -> bool:
    """Whether trying again is useless. Wrong bytes may be an accident of a proxy: once."""
    if isinstance(error, RegistryRefused):
        return error.lasting
    return isinstance(error, DigestMismatch) and attempt > 0


def _call(function: Callable[[list[bytes]], None], pieces: list[bytes]) -> Callable[[], None]:
    return lambda: function(pieces)


async def fetch_small(session: Session, wanted: Descriptor, limit: int) -> bytes:
    """A small blob (a configuration) in memory, verified. Raises `EngineError`, `HTTPError`."""
    if wanted.size > limit:
        raise EngineError(f"the image's configuration has {wanted.size} bytes; {limit} is the limit")
    async with await session.get(f"blobs/{wanted.digest}") as response:
        data = await response.read(limit)
    if hashlib.sha256(data).hexdigest() != hex_of(wanted.digest):
        raise DigestMismatch(f"the registry sent something else for {wanted.digest}")
    return data
