"""Joins a client's connection with a container's streams: attach, also before the start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from pymachine.dockerapi.errors import EngineError
from pymachine.dockerapi.messages import Stream
from pymachine.engine.containers.detach import Watch
from pymachine.engine.containers.model import Container
from pymachine.engine.runtime.base import ContainerHandle, ProcessStream


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which streams a client wants, and the keys that let it go."""

    stdin: bool
    stdout: bool
    stderr: bool
    detach_keys: bytes


class EarlyClient:
    """A client that attaches before the start: it is joined just before the program runs."""

    def __init__(self, container: Container, wanted: Wanted) -> None:
        self._container, self._wanted = container, wanted
        self._stream: asyncio.Future[ProcessStream] = asyncio.get_running_loop().create_future()
        container.joiners.append(self)

    async def join(self, handle: ContainerHandle) -> None:
        """Attach now; the shim's refusal is the client's to see, never the start's failure."""
        try:
            stream = await attach(self._container, handle, self._wanted)
        except (OSError, EngineError) as error:
            self.give_up(error)
            return
        if not self._stream.done():
            self._stream.set_result(stream)

    def give_up(self, error: Exception) -> None:
        """There will be no run."""
        if not self._stream.done():
            self._stream.set_exception(error)
            # A client that has gone reads no result.
            self._stream.exception()

    async def stream(self) -> ProcessStream:
        """The container's streams, once it starts."""
        try:
            return await self._stream
        finally:
            if self in self._container.joiners:
                self._container.joiners.remove(self)


async def attach(container: Container, handle: ContainerHandle, wanted: Wanted) -> ProcessStream:
    """The container's streams as of now."""
    return await handle.attach(
        stdin=wanted.stdin and bool(container.config.get("OpenStdin")),
        stdout=wanted.stdout,
        stderr=wanted.stderr,
        close_stdin=bool(container.config.get("StdinOnce")),
    )


async def relay(
    client: Stream,
    inside: ProcessStream,
    *,
    stdin: bool,
    keys: bytes | None,
    detached: Callable[[], None] = lambda: None,
) -> bool:
    """Carry bytes both ways until the process's output ends, the client goes, or it presses *keys* (then true)."""
    output = asyncio.create_task(_copy_output(inside, client))
    tasks = {output}
    if stdin:
        tasks.add(asyncio.create_task(_copy_input(client, inside, keys)))
    try:
        while output in tasks:
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {output}:
                if task.result():
                    detached()
                    return True
        return False
    finally:
        for task in (*tasks, output):
            task.cancel()
        await asyncio.gather(*tasks, output, return_exceptions=True)
        await inside.close()


async def _copy_output(inside: Stream, client: Stream) -> bool:
    try:
        while data := await inside.read():
            await client.write(data)
    except ConnectionError:
        pass
    return False


async def _copy_input(client: Stream, inside: Stream, keys: bytes | None) -> bool:
    """Whether the client pressed the detach keys."""
    watch = Watch(keys) if keys else None
    try:
        while data := await client.read():
            pressed = False
            if watch is not None:
                data, pressed = watch.feed(data)
            if data:
                await inside.write(data)
            if pressed:
                return True
        await inside.write_eof()
    except ConnectionError:
        pass
    return False
