"""A request's body on disk, so that threads can read it at leisure and nothing half-received is used."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import BinaryIO

from pymachine.engine.images.archive.decompress import sniff
from pymachine.engine.images.archive.pipeline import Feed
from pymachine.engine.images.core import Core

_BATCH = 1 << 20


@dataclass(frozen=True, slots=True)
class Spooled:
    """A nameless file that vanishes with the block, or with the process."""

    file: BinaryIO
    size: int
    digest: str
    """Of the bytes as they came."""

    def plain_digest(self) -> str:
        """The digest of the uncompressed bytes. Blocks; raises `BadArchive`."""
        self.file.seek(0)
        if not sniff(self.file.read(6)):
            return self.digest
        self.file.seek(0)
        with Feed(self.file) as feed:
            for _ in feed:
                pass
        return feed.digest


@asynccontextmanager
async def spooled(core: Core, body: AsyncIterable[bytes]) -> AsyncIterator[Spooled]:
    """All of *body* in a file, at its start."""
    digest = hashlib.sha256()
    size = 0

    def write(pieces: list[bytes]) -> None:
        for piece in pieces:
            digest.update(piece)
            file.write(piece)

    file: BinaryIO = await core.run(tempfile.TemporaryFile, dir=core.tmp)
    try:
        waiting: list[bytes] = []
        held = 0
        async for piece in body:
            waiting.append(piece)
            held += len(piece)
            if held >= _BATCH:
                await core.finish(write, waiting)
                size, waiting, held = size + held, [], 0
        await core.finish(write, waiting)
        await core.run(file.seek, 0)
        yield Spooled(file, size + held, "sha256:" + digest.hexdigest())
    finally:
        await asyncio.shield(core.run(file.close))  # freeing a large file takes its time
