"""A daemon's start: finds the containers that its predecessor left, running or not."""

from __future__ import annotations

import asyncio
import logging
import os
import time

from pymachine.dockerapi.errors import Conflict, EngineError
from pymachine.engine.containers import removal, restart, specs
from pymachine.engine.containers.context import Context
from pymachine.engine.containers.lifecycle import Lifecycle
from pymachine.engine.containers.model import Container
from pymachine.engine.containers.state import Status
from pymachine.engine.network.base import Sandbox
from pymachine.engine.runtime.base import ContainerHandle, ExitStatus

_log = logging.getLogger(__name__)

_START_PATIENCE = 5.0
"""Seconds in which the containers that restart policies start may hold up the API at the engine's start."""


class Recovery:
    """`load`, then (once the network is up) `resume`."""

    def __init__(self, context: Context, lifecycle: Lifecycle) -> None:
        self._context = context
        self._lifecycle = lifecycle
        self._running: list[tuple[Container, ContainerHandle]] = []
        self._ended: list[tuple[Container, ExitStatus]] = []
        self._removing: list[Container] = []

    async def load(self) -> list[Sandbox]:
        """Read every document and reconnect to what runs; the sandboxes of the running ones."""
        loaded = await asyncio.to_thread(lambda: list(self._context.documents.load()))
        for container in loaded:
            if container.state.status is Status.REMOVING or container.half_made:
                self._removing.append(container)
                continue
            try:
                self._context.registry.add(container)
            except Conflict as error:
                _log.error("container %s loses its name: %s", container.id[:12], error)
                container.name = container.id[:12]
                self._context.registry.add(container)
            await self._note_volumes(container)
        await asyncio.to_thread(self._remove_orphans)
        await asyncio.gather(*(self._find(container) for container in self._context.registry))
        return [container.sandbox for container in self._context.registry if container.handle and container.sandbox]

    def _remove_orphans(self) -> None:
        """Writable layers whose containers were being made or removed when the old daemon was killed."""
        known = self._context.documents.known()
        for container_id in self._context.graph.containers():
            if container_id not in known:
                self._context.graph.remove_container(container_id)

    async def _note_volumes(self, container: Container) -> None:
        names = [point.name for point in container.mounts if point.type == "volume"]
        if names:
            await asyncio.to_thread(self._use, names, container.id)

    def _use(self, names: list[str], container_id: str) -> None:
        for name in names:
            try:
                self._context.volumes.use(name, container_id)
            except EngineError as error:
                _log.error("container %s: volume %s: %s", container_id[:12], name, error)

    async def _find(self, container: Container) -> None:
        """Reconnect to a container that ran, or whose start the old daemon did not see through."""
        bundle = specs.bundle(self._context.options, container.id)
        if not container.state.running and (container.sandbox is None or not os.path.exists(bundle)):
            return
        found = await self._reconnect(container, str(bundle))
        if isinstance(found, ExitStatus):
            if not container.state.running:  # the daemon died in its start
                container.state.started(0, found.finished_at)
            self._ended.append((container, found))
            return
        if not container.state.running:
            container.state.started(found.pid, found.started_at)
        container.state.pid = found.pid
        if found.paused is not None and found.paused is not container.state.paused:
            # The daemon died between the deed and its record.
            container.state.to(Status.PAUSED if found.paused else Status.RUNNING)
        if container.held:
            await self._let_go(container, found)
        self._context.record(container)
        # Its end is listened for once the network is up, which then takes its address back.
        container.handle = found
        self._running.append((container, found))

    async def _let_go(self, container: Container, handle: ContainerHandle) -> None:
        """Let a container go on that the old daemon held when it died."""
        container.held = False
        if not container.state.paused:
            return
        try:
            await handle.resume()
            container.state.to(Status.RUNNING)
        except OSError as error:
            _log.error("container %s stays paused: %s", container.id[:12], error.strerror or error)

    async def _reconnect(self, container: Container, bundle: str) -> ContainerHandle | ExitStatus:
        """As the runtime says; one container's trouble keeps neither the others nor the daemon from starting."""
        try:
            return await self._context.runtime.reconnect(container.id, bundle)
        except Exception as error:
            _log.exception("container %s cannot be found again", container.id[:12])
            return ExitStatus(255, time.time(), error=str(error))

    async def resume(self) -> None:
        """Note the ends that nobody saw, finish removals, apply restart policies.

        Who asks the engine right after finds what was to be started started: it is waited for, though not for long.
        """
        for container, handle in self._running:
            self._lifecycle.watch(container, handle)
        for container, how in self._ended:
            await self._lifecycle.ended(container, how)
        for container in self._removing:
            self._context.background(self._finish_removal(container), f"removing container {container.id[:12]}")
        ended_now = {container.id for container, _ in self._ended}
        starts = [container.restart_timer for container, _ in self._ended if container.restart_timer]
        starts += [
            start
            for container in self._context.registry
            if container.id not in ended_now and (start := await self._resume_one(container))
        ]
        if starts:
            await asyncio.wait(starts, timeout=_START_PATIENCE)
        self._running, self._ended, self._removing = [], [], []

    async def _resume_one(self, container: Container) -> asyncio.Task[None] | None:
        if container.state.running:
            return None
        if container.sandbox is not None:
            await self._context.network.release(container.sandbox)
            container.sandbox = None
            self._context.record(container)
        if container.state.status is Status.RESTARTING:
            self._lifecycle.plan_restart(container)
        elif restart.wanted_at_boot(container):
            return self._lifecycle.start_later(container)
        return None

    async def _finish_removal(self, container: Container) -> None:
        try:
            if container.sandbox is not None:
                await self._context.network.release(container.sandbox)
            volumes = container.auto_remove or container.half_made or container.volumes_go
            await asyncio.to_thread(removal.remove_from_disk, self._context, container, volumes=volumes)
        except (OSError, EngineError) as error:
            _log.error("container %s could not be removed, the next start tries again: %s", container.id[:12], error)
