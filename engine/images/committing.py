"""Making an image of a container's changes (``POST /commit``; the builder's steps)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pymachine.engine.images.archive.pack import pack
from pymachine.engine.images.base import Image
from pymachine.engine.images.core import Core
from pymachine.engine.images.importing import add_image, add_layer
from pymachine.engine.images.layers import Layer
from pymachine.engine.images.reference import Reference
from pymachine.engine.images.times import rfc3339


async def commit(
    core: Core,
    container_id: str,
    parent: Image,
    inner: dict[str, Any],
    target: Reference | None,
    *,
    author: str = "",
    message: str = "",
    created_by: str = "",
) -> Image:
    """An image over *parent* with the container's changes as one more layer and *inner* as its ``config``.

    The caller pauses the container if it wants a moment's picture. Raises `EngineError`, `KeyError`.
    """
    rootfs = core.driver.container_rootfs(container_id)
    if rootfs.type == "overlay":
        changes = pack(Path(rootfs.upper))
    else:
        changes = pack(Path(rootfs.source), core.driver.layer_path(parent.top_layer) if parent.top_layer else None)
    made: list[Image] = []

    def record(layer: Layer) -> None:
        config = _config(parent, container_id, inner, layer.diff_id, author, message, created_by)
        made.append(add_image(core, config, parent.id))

    with core.layers.pinned(parent.chain_ids):
        await add_layer(core, parent.top_layer, core.iterate(changes), record)
    image = made[0]
    core.publish("commit", image.id, str(target.tagged()) if target else "")
    if target is not None:
        await core.run(core.store.name, image.id, [str(target.tagged())])
        core.publish("tag", image.id, str(target.tagged()))
    return image


def _config(
    parent: Image, container_id: str, inner: dict[str, Any], diff_id: str, author: str, message: str, created_by: str
) -> dict[str, Any]:
    now = rfc3339()
    step = {"created": now, "created_by": created_by, "author": author, "comment": message}
    return {
        **parent.config,
        "created": now,
        "author": author,
        "comment": message,
        "config": inner,
        "container": container_id,
        "history": [*(parent.config.get("history") or []), {key: text for key, text in step.items() if text}],
        "rootfs": {"type": "layers", "diff_ids": [*(parent.config["rootfs"].get("diff_ids") or []), diff_id]},
    }
