"""A request's body on disk, so that threads can read it at leisure and nothing half-received is used."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterable, AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pymachine.engine.images.archive.decompress import sniff
from pymachine.engine.images.archive.pipeline import Feed

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
async def spooled(body: AsyncIterable[bytes], folder: Path, executor: Executor) -> AsyncIterator[Spooled]:
    """All of *body* in a file in *folder*, at its start."""
    loop = asyncio.get_running_loop()
    digest = hashlib.sha256()
    size = 0

    def write(pieces: list[bytes]) -> None:
        for piece in pieces:
            digest.update(piece)
            file.write(piece)

    with tempfile.TemporaryFile(dir=folder) as file:
        waiting: list[bytes] = []
        held = 0
        async for piece in body:
            waiting.append(piece)
            held += len(piece)
            if held >= _BATCH:
                await loop.run_in_executor(executor, write, waiting)
                size, waiting, held = size + held, [], 0
        await loop.run_in_executor(executor, write, waiting)
        file.seek(0)
        yield Spooled(file, size + held, "sha256:" + digest.hexdigest())
