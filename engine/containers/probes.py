"""Runs health checks in running containers."""

from __future__ import annotations

import asyncio
import os
import signal
import time

from pymachine.dockerapi.messages import Stream
from pymachine.dockerapi.stdio import Decoder
from pymachine.engine.containers import specs
from pymachine.engine.containers.context import Context
from pymachine.engine.containers.health import OUTPUT_LIMIT, Health
from pymachine.engine.containers.model import Container
from pymachine.engine.runtime.base import ContainerHandle, StartFailed
from pymachine.engine.runtime.spec import Process


class Prober:
    """Probes containers until they end."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._loops: dict[str, asyncio.Task[None]] = {}

    def begin(self, container: Container) -> None:
        """Probe *container*, which runs and has a health check."""
        loop = self._context.background(self._loop(container), f"checking the health of {container.name}")
        self._loops[container.id] = loop

    def end(self, container: Container) -> None:
        """Stop probing."""
        if (loop := self._loops.pop(container.id, None)) is not None:
            loop.cancel()

    async def _loop(self, container: Container) -> None:
        health, handle = container.health, container.handle
        assert health is not None
        assert handle is not None
        while container.handle is handle:
            await asyncio.sleep(health.pause)
            if container.state.paused:
                continue
            start = time.time()
            code, output = await self._probe(container, health, handle)
            if container.handle is handle and health.note(code, output, start, time.time()):
                self._context.publish(container, f"health_status: {health.status}")

    async def _probe(self, container: Container, health: Health, handle: ContainerHandle) -> tuple[int, str]:
        """Exit code and output of one run of the check; -1 when it took too long or could not run."""
        process = probe_process(container, health, self._context)
        try:
            process_handle, stream = await handle.exec(process, stdin=False, stdout=True, stderr=True)
        except (StartFailed, OSError) as error:
            return -1, str(error)
        try:
            async with asyncio.timeout(health.check.timeout):
                output = await _output(stream)
                return (await process_handle.wait()).code, output
        except TimeoutError:
            try:
                os.kill(process_handle.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            return -1, f"Health check exceeded timeout ({health.check.timeout:g}s)"


def probe_process(container: Container, health: Health, context: Context) -> Process:
    """The check's process: like the container's first one, with another command and no terminal."""
    first = specs.first_process(container, context.options)
    return Process(
        args=health.check.command,
        env=first.env,
        cwd=first.cwd,
        user=first.user,
        additional_groups=first.additional_groups,
        capabilities=first.capabilities,
        no_new_privileges=first.no_new_privileges,
        seccomp=first.seccomp,
        rlimits=first.rlimits,
    )


async def _output(stream: Stream | None) -> str:
    """What the check said, cut at the limit; read to the end, so that it can end."""
    if stream is None:
        return ""
    decoder, kept = Decoder(), bytearray()
    while data := await stream.read():
        for _, piece in decoder.feed(data):
            kept += piece[: OUTPUT_LIMIT - len(kept)]
    return kept.decode(errors="replace")
