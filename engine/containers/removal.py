"""``docker rm``: takes a container and all that is its own away."""

from __future__ import annotations

import asyncio
import logging
import shutil

from pymachine.dockerapi.errors import Conflict, EngineError
from pymachine.engine.containers import mounts, specs
from pymachine.engine.containers.context import Context
from pymachine.engine.containers.model import Container
from pymachine.engine.containers.state import Status

_log = logging.getLogger(__name__)


async def remove_ended(context: Context, container: Container, *, volumes: bool) -> None:
    """Remove a container that does not run. Its name is free and waiters know when this returns.

    A failure leaves it ``dead``, to be tried again.
    """
    async with container.lock:
        _mark(context, container, volumes=volumes)
        if container.settling is not None:
            await container.settling
        try:
            await asyncio.to_thread(remove_from_disk, context, container, volumes=volumes)
        except Exception as error:
            container.state.to(Status.DEAD)
            container.state.error = str(error)
            context.record(container)
            raise EngineError(f'cannot remove container "/{container.name}": {error}') from error
        _forget(context, container)


async def remove_quickly(context: Context, container: Container) -> None:
    """`remove_ended` for ``AutoRemove``: nobody waits for the disk.

    The document of a container that ran stays as it is until all is gone, and says ``AutoRemove``: a daemon
    that dies meanwhile has a successor that finds the container ended, and removes it.
    """
    async with container.lock:
        _check(container)
        never_ran = container.state.status is Status.CREATED
        container.state.to(Status.REMOVING)
        if never_ran:
            context.record(container)
        if any(point.type == "volume" for point in container.mounts):
            await asyncio.to_thread(mounts.release, container.mounts, container.id, context.volumes, remove=True)
            container.mounts = []
        _forget(context, container)
    context.background(_finish(context, container), f"removing container {container.id[:12]}")


async def _finish(context: Context, container: Container) -> None:
    if container.settling is not None:
        await container.settling
    await asyncio.to_thread(remove_from_disk, context, container, volumes=True)


def _mark(context: Context, container: Container, *, volumes: bool) -> None:
    _check(container)
    container.state.to(Status.REMOVING)
    container.volumes_go = volumes
    context.record(container)


def _check(container: Container) -> None:
    if container.state.status is Status.REMOVING:
        raise Conflict(f"removal of container {container.name} is already in progress")
    if not container.state.removable:
        raise Conflict(
            f'cannot remove container "/{container.name}": container is {container.state.status}: '
            "stop the container before removing or force remove"
        )


def remove_from_disk(context: Context, container: Container, *, volumes: bool) -> None:
    """Everything of the container on disk; its document last, since it is what a retry starts from. Blocks."""
    mounts.release(container.mounts, container.id, context.volumes, remove=volumes)
    context.graph.remove_container(container.id)
    for path in (specs.bundle(context.options, container.id), specs.shared_memory(context.options, container.id)):
        shutil.rmtree(path, ignore_errors=True)
    context.documents.remove(container.id)


def _forget(context: Context, container: Container) -> None:
    context.registry.discard(container)
    for joiner in container.joiners:
        joiner.give_up(Conflict(f"container {container.id} was removed"))
    container.joiners.clear()
    context.publish(container, "destroy")
    # Why a start failed was told to whoever asked for it; an error here would be the removal's.
    outcome = (container.state.exit_code, "")
    for condition in ("next-exit", "not-running", "removed"):
        container.waiters.tell(condition, outcome)
