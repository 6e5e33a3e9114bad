"""An image service on a temporary folder, and small layer tars, for tests of images."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pymachine.engine.events import EventBus
from pymachine.engine.images.base import ImageUsers
from pymachine.engine.images.service import ImageService
from pymachine.engine.storage.select import open_driver


def layer_tar(files: dict[str, bytes], *, folders: Iterable[str] = ()) -> bytes:
    """An uncompressed tar with *files* (whiteouts too) after *folders*."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in folders:
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, 1_700_000_000
            tar.addfile(info)
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(data), 0o644, 1_700_000_000
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@asynccontextmanager
async def image_service(
    folder: Path,
    *,
    driver: str = "overlay2",
    events: EventBus | None = None,
    users: ImageUsers = lambda image_id: [],
    **options: Any,
) -> AsyncIterator[ImageService]:
    """A service with its stores below *folder*; opening the same folder again is a restart."""
    graph = open_driver(driver, folder / "graph")
    service = ImageService(folder / "images", graph, events or EventBus(), users=users, **options)
    try:
        yield service
    finally:
        await service.close()


async def pieces(data: bytes, size: int = 65536) -> AsyncIterator[bytes]:
    """*data* as a request's body arrives."""
    for start in range(0, len(data), size):
        yield data[start : start + size]
