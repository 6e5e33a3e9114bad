"""``/containers/{id}/archive``, ``export`` and ``changes`` (Engine API 1.24–1.47)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Callable
from typing import IO

from pymachine.dockerapi.errors import EngineError
from pymachine.dockerapi.messages import Answer, Request, Response, empty, json_response
from pymachine.dockerapi.routing import Route
from pymachine.engine.containers import changes, copying
from pymachine.engine.containers.service import Containers

_PIECE = 2**18


class ArchiveRoutes:
    """Handlers that move files in and out of containers."""

    def __init__(self, service: Containers) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """Every route of this module."""
        archive = "/containers/{id}/archive"
        return [
            Route("HEAD", archive, self.describe),
            Route("GET", archive, self.read),
            Route("PUT", archive, self.write),
            Route("GET", "/containers/{id}/export", self.export),
            Route("GET", "/containers/{id}/changes", self.changes),
        ]

    async def describe(self, request: Request) -> Answer:
        return Response(200, headers={"X-Docker-Container-Path-Stat": await self._stat(request)})

    async def _stat(self, request: Request) -> str:
        container, path = self._service.get(request.params["id"]), request.query.text("path")
        return await asyncio.to_thread(copying.describe, self._service.context, container, path)

    async def read(self, request: Request) -> Answer:
        container, path = self._service.get(request.params["id"]), request.query.text("path")
        headers = {"Content-Type": "application/x-tar", "X-Docker-Container-Path-Stat": await self._stat(request)}
        self._service.context.publish(container, "archive-path")
        return Response(
            stream=produced(lambda out: copying.read(self._service.context, container, path, out)), headers=headers
        )

    async def export(self, request: Request) -> Answer:
        container = self._service.get(request.params["id"])
        headers = {"Content-Type": "application/octet-stream"}
        self._service.context.publish(container, "export")
        return Response(
            stream=produced(lambda out: copying.export(self._service.context, container, out)), headers=headers
        )

    async def changes(self, request: Request) -> Answer:
        rootfs = await self._service.rootfs(self._service.get(request.params["id"]))
        if rootfs is None:
            raise EngineError(f"the writable layer of container {request.params['id']} is lost")
        found = await asyncio.to_thread(changes.of, rootfs)
        return json_response(found or None)

    async def write(self, request: Request) -> Answer:
        container, query = self._service.get(request.params["id"]), request.query
        path, keep_kinds = query.text("path"), query.flag("noOverwriteDirNonDir")

        def unpack(source: IO[bytes]) -> None:
            copying.write(self._service.context, container, path, source, keep_owners=True, keep_kinds=keep_kinds)

        await consumed(request, unpack)
        self._service.context.publish(container, "extract-to-dir")
        return empty(200)


async def produced(work: Callable[[IO[bytes]], None]) -> AsyncIterator[bytes]:
    """What *work* writes in a thread, in pieces; a client that goes away makes its next write fail."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    failure: list[BaseException] = []

    def run() -> None:
        try:
            with os.fdopen(writing, "wb", buffering=_PIECE) as output:
                work(output)
        except BrokenPipeError:
            pass  # the client has gone
        except BaseException as error:
            failure.append(error)

    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader(_PIECE)
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", buffering=0)
    )
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while data := await reader.read(_PIECE):
            yield data
    finally:
        transport.close()
        await asyncio.to_thread(thread.join)
    if failure:
        raise EngineError(f"the archive could not be finished: {failure[0]}") from failure[0]


async def consumed(request: Request, work: Callable[[IO[bytes]], None]) -> None:
    """Run *work* in a thread with the request's body as its input."""
    reading, writing = os.pipe2(os.O_CLOEXEC)

    def run() -> None:
        with os.fdopen(reading, "rb") as source:
            work(source)
            # To the end: tar stops at its end mark, and the client may send padding after it.
            while source.read(_PIECE):
                pass

    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(writing, "wb", buffering=0)
    )
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    task = asyncio.create_task(asyncio.to_thread(run))
    try:
        with contextlib.suppress(ConnectionError):  # the work has failed: its own error says why
            async for piece in request.body:
                writer.write(piece)
                await writer.drain()
    finally:
        writer.close()
        await asyncio.wait([task])
    task.result()
