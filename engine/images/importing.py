"""Making an image from one file system archive (``POST /images/create?fromSrc=…``), and from layers made here."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pymachine.dockerapi.client import HTTPClient, HTTPError
from pymachine.dockerapi.errors import EngineError, InvalidArgument, NotFound
from pymachine.engine.images import platforms
from pymachine.engine.images.base import Image
from pymachine.engine.images.chains import chain_id, chain_ids
from pymachine.engine.images.changes import apply_changes
from pymachine.engine.images.core import Core
from pymachine.engine.images.layers import Layer
from pymachine.engine.images.reference import Reference
from pymachine.engine.images.spool import Spooled, spooled
from pymachine.engine.images.store import About, parse_config
from pymachine.engine.images.times import rfc3339


async def import_archive(
    core: Core,
    body: AsyncIterable[bytes],
    target: Reference | None,
    *,
    changes: Sequence[str] = (),
    message: str = "",
    platform: str = "",
) -> Image:
    """An image of one layer out of the (compressed) tar *body*, named *target*.

    Raises `InvalidArgument` for a bad archive or change; nothing is left then.
    """
    wanted = platforms.parse(platform) or platforms.host()
    target = target.tagged() if target is not None else None
    inner = apply_changes({}, changes)
    async with spooled(core, body) as spool:
        image = await core.finish(_add, core, spool, inner, message, wanted)
    core.publish("import", image.id, str(target) if target else "")
    if target is not None:
        await core.run(core.store.name, image.id, [str(target)])
        core.publish("tag", image.id, str(target))
    return image


def _add(core: Core, spool: Spooled, inner: dict[str, Any], message: str, platform: platforms.Platform) -> Image:
    diff_id = spool.plain_digest()
    spool.file.seek(0)
    now = rfc3339()
    config: dict[str, Any] = {
        "architecture": platform.architecture,
        **({"variant": platform.variant} if platform.variant else {}),
        "os": platform.os,
        "created": now,
        "comment": message,
        "config": inner,
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": now, "comment": message}],
    }
    with core.layers.pinned([diff_id]):
        core.layers.add(spool.file, None, diff_id)
        return core.store.add(json.dumps(config).encode())[0]


def add_image(core: Core, config: dict[str, Any], parent: str = "") -> Image:
    """Record an image whose layers are there (commit, build). Blocks; raises `InvalidArgument`."""
    data = json.dumps(config).encode()
    chains = [layer for layer in _chains(data) if core.layers.get(layer) is None]
    if chains:
        raise InvalidArgument(f"layer {chains[0]} does not exist")
    return core.store.add(data, About(parent=parent))[0]


async def add_layer(
    core: Core, parent: str | None, body: AsyncIterable[bytes], then: Callable[[Layer], None] = lambda layer: None
) -> Layer:
    """Unpack a tar as a new layer over the chain *parent*, which the caller has pinned.

    *then* is called in the same thread while nothing can take the new layer away: it adds an image that needs
    it, or a pin.
    """
    async with spooled(core, body) as spool:
        return await core.finish(_add_layer, core, spool, parent, then)


def _add_layer(core: Core, spool: Spooled, parent: str | None, then: Callable[[Layer], None]) -> Layer:
    diff_id = spool.plain_digest()
    spool.file.seek(0)
    with core.layers.pinned([chain_id(parent, diff_id)]):
        layer = core.layers.add(spool.file, parent, diff_id)
        then(layer)
    return layer


def _chains(data: bytes) -> tuple[str, ...]:
    return chain_ids(parse_config(data)[1])


@asynccontextmanager
async def fetched(url: str) -> AsyncIterator[AsyncIterable[bytes]]:
    """The archive at *url*; raises an `EngineError` that says what is wrong with it."""
    parts = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidArgument(f"cannot import from {url!r}: an http or https address, or - for the body, is wanted")
    async with HTTPClient(timeout=120) as client:
        try:
            async with await client.request("GET", parts.geturl()) as response:
                if response.status != 200:
                    kind = NotFound if response.status == 404 else EngineError
                    raise kind(f"cannot import from {url}: the server answered with status {response.status}")
                yield response
        except HTTPError as error:
            raise EngineError(f"cannot import from {url}: {error}") from None
