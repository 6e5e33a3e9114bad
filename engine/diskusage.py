"""``GET /system/df``: what images, containers and volumes take on disk."""

from __future__ import annotations

import asyncio
from typing import Any

from pymachine.engine.containers import listing
from pymachine.engine.containers.service import Containers
from pymachine.engine.images.service import ImageService
from pymachine.engine.volumes.service import VolumeService


async def disk_usage(
    wanted: frozenset[str], images: ImageService, containers: Containers, volumes: VolumeService
) -> dict[str, Any]:
    """The document, with the object types *wanted* (as the API names them) filled in.

    There is no build cache apart from images: its layers are theirs.
    """
    document: dict[str, Any] = {"LayersSize": 0, "Images": [], "Containers": [], "Volumes": [], "BuildCache": []}
    if "image" in wanted:
        document |= await images.disk_usage()
    if "container" in wanted:
        document["Containers"] = [await _container(containers, item.id) for item in containers.context.registry]
    if "volume" in wanted:
        document["Volumes"] = await asyncio.to_thread(volumes.disk_usage)
    return document


async def _container(containers: Containers, container_id: str) -> dict[str, Any]:
    container = containers.get(container_id)
    entry = listing.summary(containers.context, container)
    entry["SizeRw"], entry["SizeRootFs"] = await containers.sizes(container)
    return entry
