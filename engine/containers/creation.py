"""``docker create``: from a checked request to a container on disk."""

from __future__ import annotations

import asyncio
import secrets
import time
from functools import partial
from typing import Any

from pymachine.dockerapi.errors import InvalidArgument, NotFound
from pymachine.engine.containers import binds, mounts, names, namespaces, request, sandboxes
from pymachine.engine.containers.context import Context
from pymachine.engine.containers.model import Container, MountPoint, network_mode
from pymachine.engine.containers.request import CreateRequest


async def create(context: Context, body: dict[str, Any], name: str) -> Container:
    """Make a container; raises `InvalidArgument`, `NotFound` (image, volume source) or `Conflict` (name)."""
    asked = request.parse(body, context.options)
    image = await context.images.get(asked.config["Image"])
    container_id = secrets.token_hex(32)
    chosen = names.check(name) if name else names.invent(context.registry.name_taken)
    host = _settle_references(context, request.complete_host(asked.host_config, context.options))
    config = request.complete_config(asked.config, image.config.get("config") or {}, container_id, host)
    networking = sandboxes.complete(context, asked.networking, network_mode(host))
    container = Container(container_id, chosen, time.time(), image.id, config, host, networking, asked.whole)
    context.registry.reserve(chosen, container_id)
    try:
        await _make(context, container, asked, image.top_layer)
    except BaseException:
        context.registry.release(chosen, container_id)
        raise
    context.registry.add(container)
    context.publish(container, "create")
    if not container.auto_remove:
        # Power lost right after the answer must not lose a container its user counts on.
        context.background(asyncio.to_thread(context.documents.flush, container_id), "flushing a new container")
    return container


def _settle_references(context: Context, host: dict[str, Any]) -> dict[str, Any]:
    """Names in ``container:<name>`` modes become ids, which a rename does not break."""
    for mode in ("NetworkMode", "PidMode", "IpcMode"):
        if reference := namespaces.joined(host.get(mode) or ""):
            host[mode] = f"container:{_other(context, reference).id}"
    for link in host.get("Links") or ():
        _other(context, link.partition(":")[0])
    return host


def _other(context: Context, reference: str) -> Container:
    """Another container that a request names. That there is none is no "not found": clients would pull the image."""
    try:
        return context.registry.get(reference)
    except NotFound as error:
        raise InvalidArgument(str(error)) from None


def inherited(context: Context, host: dict[str, Any]) -> list[MountPoint]:
    """The mounts that ``VolumesFrom`` brings: ``name[:ro|rw]``."""
    found = []
    for entry in host.get("VolumesFrom") or ():
        reference, _, mode = entry.partition(":")
        for point in _other(context, reference).mounts:
            if point.type != "tmpfs":
                found.append(
                    MountPoint(
                        point.type,
                        point.destination,
                        point.source,
                        point.name,
                        point.read_only or mode == "ro",
                        point.propagation,
                        mode,
                    )
                )
    return found


async def _make(context: Context, container: Container, asked: CreateRequest, top_layer: str | None) -> None:
    """The writable layer, the mounts and the document; nothing stays when one fails."""
    wishes = binds.wishes(container.config, container.host_config, inherited(context, container.host_config))
    await asyncio.to_thread(_make_on_disk, context, container, wishes, top_layer)


def _make_on_disk(context: Context, container: Container, wishes: list[binds.Wish], top_layer: str | None) -> None:
    wishes = mounts.named(wishes)
    container.mounts = [wish.point for wish in wishes]
    container.rootfs = context.graph.create_container(container.id, top_layer)
    try:
        if any(point.anonymous for point in container.mounts):
            # Nobody but this document would know whose they are, if the daemon is killed while it makes them.
            container.half_made = True
            context.documents.save(container)
            container.half_made = False
        root = partial(context.graph.mounted, container.id)
        container.mounts = mounts.prepare(wishes, container.id, context.volumes, container.rootfs, root)
        context.documents.save(container)
    except BaseException:
        mounts.release(container.mounts, container.id, context.volumes, remove=True)
        context.graph.remove_container(container.id)
        context.documents.remove(container.id)
        raise
