"""Starts containers, and does what is due when they end: events, give back, restart, remove."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Coroutine
from typing import Any

from pymachine.dockerapi.errors import Conflict, EngineError, InvalidArgument, NotModified
from pymachine.engine.containers import etc, health, links, restart, specs
from pymachine.engine.containers.context import Context
from pymachine.engine.containers.model import Container
from pymachine.engine.containers.probes import Prober
from pymachine.engine.containers.sandboxes import allocate
from pymachine.engine.containers.state import Status
from pymachine.engine.network.base import Sandbox
from pymachine.engine.runtime.base import ContainerHandle, ExitStatus, StartFailed
from pymachine.engine.runtime.spec import ContainerSpec, Rootfs

Remove = Callable[[Container], Coroutine[Any, Any, None]]


class Lifecycle:
    """Start, and what follows an exit. *remove* takes an ended ``AutoRemove`` container away."""

    def __init__(self, context: Context, remove: Remove) -> None:
        self._context = context
        self._remove = remove
        self._prober = Prober(context)
        self.closing = False

    async def start(self, container: Container) -> None:
        """Start a container that does not run; raises `NotModified`, `Conflict`, or why it cannot start."""
        async with container.lock:
            _check_startable(container)
            self.cancel_restart(container)
            container.stopped_by_user, container.failures, container.restart_count = False, 0, 0
            try:
                await self._launch(container)
            except BaseException:
                if container.auto_remove and not container.state.running:
                    self._context.background(self._remove(container), "removing a container that failed to start")
                raise

    def cancel_restart(self, container: Container) -> None:
        """Call off a restart that the policy has planned."""
        if container.restart_timer is not None:
            container.restart_timer.cancel()
            container.restart_timer = None
        if container.state.status is Status.RESTARTING:
            container.state.to(Status.EXITED)

    async def _launch(self, container: Container) -> None:
        """Bring the container to run; its lock is held. Leaves the failure in its state."""
        if container.settling is not None:
            await container.settling
        sandbox: Sandbox | None = None
        try:
            rootfs, sandbox = await self._gather(container)
            container.sandbox = sandbox
            # Written before the start: a daemon that dies in it has a successor that can clean up.
            self._context.save(container)
            handle = await self._run(container, rootfs, sandbox)
        except (EngineError, StartFailed, OSError) as error:
            raise await self._start_failed(container, sandbox, error) from error
        except BaseException as error:
            await self._start_failed(container, sandbox, error)
            raise
        container.state.started(handle.pid, handle.started_at)
        self._context.record(container)
        self._context.publish(container, "start")
        self.watch(container, handle)

    async def _gather(self, container: Container) -> tuple[Rootfs, Sandbox | None]:
        """The root and the network address."""
        if container.rootfs is None:
            try:
                container.rootfs = await asyncio.to_thread(self._context.graph.container_rootfs, container.id)
            except KeyError:
                raise EngineError(f"the writable layer of container {container.id} is lost") from None
        return container.rootfs, await allocate(self._context, container)

    async def _run(self, container: Container, rootfs: Rootfs, sandbox: Sandbox | None) -> ContainerHandle:
        context = self._context
        folder = context.documents.folder(container.id)
        if sandbox is not None:
            peers = links.hosts(context, container)
            etc.write(str(folder), container, sandbox, context.network, context.options, peers)
        if container.host_config.get("IpcMode") == "shareable":
            directory = specs.shared_memory(context.options, container.id)
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o1777)
        spec = specs.build(container, rootfs, folder, context.options, context.registry.get)
        return await self._start_runtime(container, spec, sandbox)

    async def _start_runtime(
        self, container: Container, spec: ContainerSpec, sandbox: Sandbox | None
    ) -> ContainerHandle:
        network = self._context.network

        async def attach_network(pid: int) -> None:
            assert sandbox is not None
            await network.attach(sandbox, pid)

        async def before_run(handle: ContainerHandle) -> None:
            joiners, container.joiners = container.joiners, []
            await asyncio.gather(*(joiner.join(handle) for joiner in joiners))

        own_network = sandbox is not None and spec.namespaces.net == "private"
        return await self._context.runtime.start(
            spec,
            attach_network if own_network else None,
            before_run if container.joiners else None,
        )

    async def _start_failed(self, container: Container, sandbox: Sandbox | None, error: BaseException) -> EngineError:
        """Undo a start and note why; the error for the client."""
        code = error.exit_code if isinstance(error, StartFailed) else 128
        container.state.start_failed(code, str(error))
        if sandbox is not None:
            await self._context.network.release(sandbox)
        container.sandbox = None
        self._context.record(container)
        shown = _as_engine_error(error, code)
        for joiner in container.joiners:
            joiner.give_up(shown)
        container.joiners.clear()
        return shown

    def watch(self, container: Container, handle: ContainerHandle) -> None:
        """Wait for the end of a running container, and check its health meanwhile."""
        container.handle = handle
        container.monitor = self._context.background(self._monitor(container, handle), "watching a container")
        if (check := health.read(container.config)) is not None:
            container.health = health.Health(check)
            self._prober.begin(container)

    async def _monitor(self, container: Container, handle: ContainerHandle) -> None:
        how = await handle.wait()
        if container.handle is handle:
            await self.ended(container, how)

    async def ended(self, container: Container, how: ExitStatus) -> None:
        """The container's process ended: note it, give back what it held, tell, restart or remove."""
        context, lived = self._context, how.finished_at - container.state.started_at
        comes_back = not self.closing and restart.wanted(container, how.code)
        container.handle = None
        self._prober.end(container)
        container.state.ended(how, restarting=comes_back)
        goes = container.auto_remove and not container.kept
        if not goes:
            # What is removed now needs no new document: a successor that reads the old one finds the end by itself.
            context.record(container)
        if how.oom_killed:
            context.publish(container, "oom")
        context.publish(container, "die", exitCode=str(how.code), execDuration=str(max(int(lived), 0)))
        container.settling = context.background(self._settle(container), "cleaning up after a container")
        if container.sandbox is not None and container.sandbox.ports:
            # Whoever waits for the end may want the ports at once.
            await container.settling
        container.waiters.tell("next-exit", (how.code, how.error))
        if comes_back:
            self.plan_restart(container, lived)
            return
        container.waiters.tell("not-running", (how.code, how.error))
        if goes:
            await self._remove(container)

    async def _settle(self, container: Container) -> None:
        """Give back the address and the run-time directory of the run that ended."""
        if container.sandbox is not None:
            await self._context.network.release(container.sandbox)
            container.sandbox = None
        shutil.rmtree(specs.bundle(self._context.options, container.id), ignore_errors=True)
        if container.state.status in (Status.EXITED, Status.RESTARTING) and not container.auto_remove:
            self._context.record(container)

    def plan_restart(self, container: Container, lived: float = 0.0) -> None:
        """Start the container, which is ``restarting``, again after its back-off."""
        pause = restart.delay(0 if lived >= restart.GOOD_RUN else container.failures)
        container.failures = 0 if lived >= restart.GOOD_RUN else container.failures + 1
        container.restart_timer = self._context.background(self._restart(container, pause), "restarting a container")

    async def _restart(self, container: Container, pause: float) -> None:
        await asyncio.sleep(pause)
        async with container.lock:
            # From here on a stop finds the lock held and waits, instead of cancelling half a start.
            container.restart_timer = None
            if container.state.status is not Status.RESTARTING or self.closing:
                return
            container.restart_count += 1
            try:
                await self._launch(container)
            except EngineError:
                container.waiters.tell("not-running", (container.state.exit_code, container.state.error))

    def start_later(self, container: Container) -> asyncio.Task[None]:
        """Start in the background (a policy at the daemon's start)."""

        async def begin() -> None:
            try:
                await self.start(container)
            except (NotModified, Conflict):
                pass

        return self._context.background(begin(), f"starting container {container.name}")


def _check_startable(container: Container) -> None:
    status = container.state.status
    if status is Status.PAUSED:
        raise Conflict("cannot start a paused container, try unpause instead")
    if status is Status.RUNNING:
        raise NotModified
    if status in (Status.REMOVING, Status.DEAD):
        raise Conflict("container is marked for removal and cannot be started")


def _as_engine_error(error: BaseException, code: int) -> EngineError:
    """As dockerd: a program that is missing or cannot be executed is the client's fault."""
    if isinstance(error, EngineError):
        return error
    text = f"failed to create task for container: {error}"
    return InvalidArgument(text) if code in (126, 127) else EngineError(text)
