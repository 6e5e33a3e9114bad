"""``GET /containers/{id}/stats``: once or every second (Engine API 1.24–1.47)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from pymachine.dockerapi.messages import Answer, Request, json_lines, json_response
from pymachine.dockerapi.routing import Route
from pymachine.engine.containers import usage
from pymachine.engine.containers.model import Container
from pymachine.engine.containers.service import Containers
from pymachine.engine.containers.state import Status
from pymachine.engine.containers.times import stamp

_INTERVAL = 1.0
"""Seconds."""


class StatsRoutes:
    """The route of resource usage."""

    def __init__(self, service: Containers) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """Every route of this module."""
        return [Route("GET", "/containers/{id}/stats", self.stats)]

    async def stats(self, request: Request) -> Answer:
        container = self._service.get(request.params["id"])
        samples = _samples(container)
        if request.query.flag("stream", default=True):
            return json_lines(samples)
        try:
            first = await anext(samples)
            # Without one-shot two samples are compared, so that a client can tell the CPU's load from one answer.
            return json_response(first if request.query.flag("one-shot") else await anext(samples, first))
        finally:
            await samples.aclose()  # type: ignore[attr-defined]


async def _samples(container: Container) -> AsyncIterator[dict[str, Any]]:
    """A sample each second while the container exists and its client reads."""
    before: dict[str, Any] | None = None
    while True:
        if container.state.running:
            now = await asyncio.to_thread(usage.sample, container.state.pid, container.id, container.name)
        else:
            now = _idle(container)
        if before is not None:
            now["preread"], now["precpu_stats"] = before["read"], before["cpu_stats"]
        yield now
        before = now
        await asyncio.sleep(_INTERVAL)
        if container.state.status is Status.REMOVING:
            return


def _idle(container: Container) -> dict[str, Any]:
    """The sample of a container that does not run: all zero."""
    nothing = {"cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0}}
    return {
        "read": stamp(time.time()), "preread": stamp(0), "pids_stats": {}, "blkio_stats": {}, "num_procs": 0,
        "storage_stats": {}, "cpu_stats": nothing, "precpu_stats": nothing, "memory_stats": {},
        "name": f"/{container.name}", "id": container.id,
    }  # fmt: skip
