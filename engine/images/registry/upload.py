"""Sending blobs and manifests to a registry (OCI distribution specification 1.1, "Push")."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

from pymachine.dockerapi.client import HTTPError
from pymachine.dockerapi.errors import EngineError
from pymachine.engine.images.chains import digest_of
from pymachine.engine.images.registry.errors import RegistryRefused
from pymachine.engine.images.registry.manifests import Descriptor
from pymachine.engine.images.registry.session import Session

_ATTEMPTS = 3
_PIECE = 1 << 18


async def exists(session: Session, digest: str) -> bool:
    """Whether the repository has the blob already."""
    try:
        async with await session.get(f"blobs/{digest}", method="HEAD"):
            return True
    except RegistryRefused as error:
        if error.http_status == 404:
            return False
        raise


async def send_blob(
    session: Session, blob: Descriptor, file: BinaryIO, executor: Executor, tell: Callable[[int], None]
) -> None:
    """Upload *file*, whose digest and size are *blob*'s; *tell* hears how much has gone. Raises `EngineError`,
    `HTTPError`."""
    for attempt in range(_ATTEMPTS):
        try:
            await _send_once(session, blob, file, executor, tell)
            return
        except (HTTPError, RegistryRefused) as error:
            if attempt == _ATTEMPTS - 1 or (isinstance(error, RegistryRefused) and error.lasting):
                raise
            await asyncio.sleep(1 << attempt)


async def _send_once(
    session: Session, blob: Descriptor, file: BinaryIO, executor: Executor, tell: Callable[[int], None]
) -> None:
    async with await session.get("blobs/uploads/", method="POST") as response:
        await response.read()
        location = response.headers.get("location", "")
    if not location:
        raise EngineError("the registry does not say where to upload to")
    url = urljoin(f"{session.endpoint.url}/v2/", location)
    url += ("&" if urlsplit(url).query else "?") + f"digest={blob.digest}"
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
    await session.put(url, _contents(file, executor, tell), headers)


async def _contents(file: BinaryIO, executor: Executor, tell: Callable[[int], None]) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    sent = 0
    await loop.run_in_executor(executor, file.seek, 0)
    while piece := await loop.run_in_executor(executor, file.read, _PIECE):
        yield piece
        sent += len(piece)
        tell(sent)


async def send_manifest(session: Session, reference: str, manifest: dict[str, Any]) -> Descriptor:
    """Store a manifest under a tag; raises `RegistryRefused`, `HTTPError`."""
    data = json.dumps(manifest, indent=3).encode()
    await session.put(session.url(f"manifests/{reference}"), data, {"Content-Type": str(manifest["mediaType"])})
    return Descriptor(digest_of(data), len(data), str(manifest["mediaType"]))
