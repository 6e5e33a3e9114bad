"""What every part of the image service works with, put together once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from pymachine.engine.events import EventBus
from pymachine.engine.images.base import Image, ImageUsers
from pymachine.engine.images.layers import LayerStore
from pymachine.engine.images.reference import parse
from pymachine.engine.images.store import ImageStore
from pymachine.engine.storage.base import GraphDriver

_P = ParamSpec("_P")
_T = TypeVar("_T")
_WORKERS = 8
"""Threads: layers are fetched, written and hashed side by side."""


@dataclass(slots=True)
class Core:
    """Stores, driver, events and threads. Its methods are for the event loop's thread unless they say otherwise."""

    store: ImageStore
    layers: LayerStore
    driver: GraphDriver
    events: EventBus
    users: ImageUsers
    tmp: Path
    """For spooled bodies and downloads; swept when the service opens."""
    executor: ThreadPoolExecutor

    @classmethod
    def open(cls, root: Path, driver: GraphDriver, events: EventBus, users: ImageUsers) -> Core:
        """Blocks on the disk."""
        layers = LayerStore(root, driver)
        store = ImageStore(root, lambda chain: layers.get(chain) is not None)
        core = cls(store, layers, driver, events, users, root / "tmp", ThreadPoolExecutor(_WORKERS, "images"))
        core.collect()
        return core

    async def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call a blocking function in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.executor, lambda: function(*args, **kwargs))

    async def finish(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """As `run`, but when cancelled it waits for the thread first: what it works on must not be closed."""
        future = asyncio.ensure_future(self.run(function, *args, **kwargs))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise

    async def iterate(self, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
        """A blocking iterator's items, each fetched in a thread, small ones gathered."""

        def some() -> bytes:
            gathered, size = [], 0
            for piece in pieces:
                gathered.append(piece)
                size += len(piece)
                if size >= 1 << 20:
                    break
            return b"".join(gathered)

        while piece := await self.run(some):
            yield piece

    def collect(self) -> int:
        """Remove layers that nothing needs; bytes freed. Blocks; from any thread."""
        return self.layers.collect(
            lambda: [image.top_layer for image in self.store.snapshot.images.values() if image.top_layer]
        )

    def publish(self, action: str, image_id: str, name: str = "") -> None:
        """An image event; *name* in normal form, or any text for display."""
        image = self.store.snapshot.images.get(image_id)
        attributes = dict(_labels(image)) if image is not None else {}
        if name:
            attributes["name"] = _familiar(name)
        self.events.publish("image", action, image_id, attributes)


def _labels(image: Image) -> dict[str, str]:
    labels = (image.config.get("config") or {}).get("Labels")
    return labels if isinstance(labels, dict) else {}


def _familiar(name: str) -> str:
    try:
        return parse(name).familiar
    except ValueError:
        return name
