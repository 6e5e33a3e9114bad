"""What is done to containers that run: stop, kill, restart, pause, remove by force."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pymachine.dockerapi.errors import Conflict, EngineError, NotModified
from pymachine.engine.containers.context import Context
from pymachine.engine.containers.lifecycle import Lifecycle
from pymachine.engine.containers.model import Container
from pymachine.engine.containers.removal import remove_ended
from pymachine.engine.containers.signals import parse as parse_signal
from pymachine.engine.containers.state import Status

_KILL_PATIENCE = 30.0
"""Seconds that a killed process may take to go (one in uninterruptible sleep may never)."""


class Control:
    """Operations that end, hold or replace a container's process."""

    def __init__(self, context: Context, lifecycle: Lifecycle) -> None:
        self._context = context
        self._lifecycle = lifecycle

    async def stop(self, container: Container, timeout: int | None = None, signal_name: str = "") -> None:
        """Ask the process to end, and kill it after *timeout* seconds (-1: never); raises `NotModified`."""
        number = _stop_signal(container, signal_name)
        if await self._stop_restarting(container):
            return
        if not container.state.running:
            raise NotModified
        container.stopped_by_user = True
        if container.restart_policy[0] != "no":
            # Before the signal: a daemon that is killed in between must not have it started again.
            self._context.record(container)
        await self._end(container, number, timeout)
        self._context.publish(container, "stop")

    async def end(self, container: Container) -> None:
        """Stop it because the computer shuts down: its restart policy starts it again at the next boot."""
        if container.state.running:
            await self._end(container, _stop_signal(container))

    async def _end(self, container: Container, number: int, timeout: int | None = None) -> None:
        if timeout is None:
            given = container.config.get("StopTimeout")
            timeout = self._context.options.stop_timeout if given is None else int(given)
        await self._signal(container, number)
        await self._wake(container)
        if not await self._ends_within(container, None if timeout < 0 else float(timeout)):
            await self._kill_and_wait(container)

    async def _stop_restarting(self, container: Container) -> bool:
        """End the wait for a restart; whether there was one."""
        if container.state.status is not Status.RESTARTING:
            return False
        async with container.lock:
            if container.state.status is not Status.RESTARTING:
                return False
            container.stopped_by_user = True
            self._lifecycle.cancel_restart(container)
            self._context.record(container)
            container.waiters.tell("not-running", (container.state.exit_code, container.state.error))
            self._context.publish(container, "stop")
            return True

    async def kill(self, container: Container, signal_name: str = "") -> None:
        """Send a signal, ``KILL`` by default (which is waited for)."""
        number = parse_signal(signal_name or "SIGKILL")
        if container.state.status is Status.RESTARTING and number == signal.SIGKILL:
            await self._stop_restarting(container)
            return
        if not container.state.running:
            raise Conflict(f"cannot kill container: {container.name}: container {container.id} is not running")
        if number in (signal.SIGKILL, _stop_signal(container)):
            container.stopped_by_user = True
        if number == signal.SIGKILL:
            await self._kill_and_wait(container)
        else:
            await self._signal(container, number)
            await self._wake(container)

    async def restart(self, container: Container, timeout: int | None = None, signal_name: str = "") -> None:
        """Stop when running, then start."""
        container.kept = True
        try:
            await self.stop(container, timeout, signal_name)
        except NotModified:
            pass
        finally:
            container.kept = False
        try:
            await self._lifecycle.start(container)
        except NotModified:
            pass  # someone else's start came first
        self._context.publish(container, "restart")

    async def pause(self, container: Container) -> None:
        """Freeze every process of the container."""
        async with container.lock:
            if container.state.status is Status.PAUSED:
                raise Conflict(f"container {container.id} is already paused")
            if container.state.status is not Status.RUNNING or container.handle is None:
                raise Conflict(f"container {container.id} is not running")
            try:
                await container.handle.pause()
            except OSError as error:
                raise EngineError(f"cannot pause container {container.id}: {error.strerror or error}") from error
            if container.state.status is Status.RUNNING:
                container.state.to(Status.PAUSED)
                self._context.record(container)
                self._context.publish(container, "pause")

    async def unpause(self, container: Container) -> None:
        """Let a frozen container go on."""
        async with container.lock:
            if container.state.status is not Status.PAUSED:
                raise Conflict(f"container {container.id} is not paused")
            await self._wake(container)

    @asynccontextmanager
    async def holding(self, container: Container, *, wanted: bool) -> AsyncIterator[None]:
        """Hold the processes while the block runs, so that what is read belongs together; if *wanted* and not paused.

        That it is we who hold them is written first: the successor of a killed daemon lets them go on.
        """
        if not wanted or container.state.status is not Status.RUNNING:
            yield
            return
        container.held = True
        try:
            self._context.record(container)
            await self.pause(container)
            yield
        finally:
            container.held = False
            if container.state.paused:
                try:
                    await self.unpause(container)
                except Conflict:
                    pass  # it was killed meanwhile

    async def remove(self, container: Container, *, force: bool, volumes: bool) -> None:
        """Remove; a running container only by *force*."""
        if force:
            async with container.lock:
                pass  # a start under way is seen through, and then ended
            gone = container.waiters.add("removed")
            await self._end_for_removal(container)
            if container.auto_remove and container.state.started_at:
                await gone
                return
            gone.cancel()
        await remove_ended(self._context, container, volumes=volumes or container.auto_remove)

    async def _end_for_removal(self, container: Container) -> None:
        container.stopped_by_user = True
        if not await self._stop_restarting(container) and container.state.running:
            await self._kill_and_wait(container)

    async def _kill_and_wait(self, container: Container) -> None:
        await self._signal(container, int(signal.SIGKILL))
        await self._wake(container)
        if not await self._ends_within(container, _KILL_PATIENCE):
            raise EngineError(f"tried to kill container {container.id}, but did not receive an exit event")

    async def _signal(self, container: Container, number: int) -> None:
        handle = container.handle
        if handle is None:
            return
        try:
            await handle.signal(number)
        except ProcessLookupError:
            return  # its end is being noticed
        self._context.publish(container, "kill", signal=str(int(number)))

    async def _wake(self, container: Container) -> None:
        """Unfreeze a paused container, so that a signal can reach it."""
        if container.state.status is Status.PAUSED and container.handle is not None:
            try:
                await container.handle.resume()
            except ProcessLookupError:
                return  # its end is being noticed
            except OSError as error:
                raise EngineError(f"cannot unpause container {container.id}: {error.strerror or error}") from error
            if container.state.status is Status.PAUSED:
                container.state.to(Status.RUNNING)
                self._context.record(container)
                self._context.publish(container, "unpause")

    async def _ends_within(self, container: Container, seconds: float | None) -> bool:
        if not container.state.running:
            return True
        ended = container.waiters.add("next-exit")
        try:
            async with asyncio.timeout(seconds):
                await ended
        except TimeoutError:
            return False
        return True


def _stop_signal(container: Container, name: str = "") -> int:
    return parse_signal(name or container.config.get("StopSignal") or "SIGTERM")
