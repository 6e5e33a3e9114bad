"""``/exec``: run another process in a container (Engine API 1.24–1.47)."""

from __future__ import annotations

import asyncio

from pymachine.dockerapi import stdio
from pymachine.dockerapi.errors import Conflict, EngineError
from pymachine.dockerapi.messages import Answer, Hijack, Request, Stream, empty, json_response
from pymachine.dockerapi.routing import Route
from pymachine.engine.api.attach import stream_type
from pymachine.engine.api.terminal import terminal_size
from pymachine.engine.containers import detach, shapes
from pymachine.engine.containers.attach import relay
from pymachine.engine.containers.execs import Exec
from pymachine.engine.containers.service import Containers

_START_FIELDS: dict[str, shapes.Kind] = {"Detach": "bool", "Tty": "bool", "ConsoleSize": "two numbers"}
_END_PATIENCE = 5.0
"""Seconds between the end of a process's output and its own end that a client's answer waits for."""


class ExecRoutes:
    """Thin handlers over `pymachine.engine.containers.execs`."""

    def __init__(self, service: Containers) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """Every route of this module."""
        return [
            Route("POST", "/containers/{id}/exec", self.create),
            Route("POST", "/exec/{id}/start", self.start),
            Route("POST", "/exec/{id}/resize", self.resize),
            Route("GET", "/exec/{id}/json", self.inspect),
        ]

    async def create(self, request: Request) -> Answer:
        container = self._service.get(request.params["id"])
        found = self._service.execs.create(container, await request.json_object())
        return json_response({"Id": found.id}, 201)

    async def inspect(self, request: Request) -> Answer:
        return json_response(self._service.execs.view(self._service.execs.get(request.params["id"])))

    async def resize(self, request: Request) -> Answer:
        found = self._service.execs.get(request.params["id"])
        rows, columns = terminal_size(request)
        if found.handle is None or not found.running:
            raise Conflict(f"exec {found.id} is not running")
        try:
            await found.handle.resize(rows, columns)
        except OSError:
            raise Conflict(f"exec {found.id} is not running") from None
        return empty(200)

    async def start(self, request: Request) -> Answer:
        execs = self._service.execs
        found = execs.get(request.params["id"])
        body = shapes.require("ExecStartConfig", await request.json_object(), _START_FIELDS)
        execs.check_startable(found)
        rows, columns = body.get("ConsoleSize") or (0, 0)
        if body.get("Detach"):
            await execs.start(found, attached=False, size=(rows, columns))
            return empty(200)
        keys = detach.parse(str(found.config.get("DetachKeys") or ""))

        async def run(client: Stream) -> None:
            await self._run(found, client, (rows, columns), keys)

        return Hijack(run, stream_type(request.version, tty=found.tty))

    async def _run(self, found: Exec, client: Stream, size: tuple[int, int], keys: bytes) -> None:
        try:
            inside = await self._service.execs.start(found, attached=True, size=size)
        except EngineError as error:
            # The header has gone out: as with dockerd, the client reads the reason where the output would be.
            text = f"{error}\r\n".encode()
            await client.write(text if found.tty else stdio.encode(stdio.STDOUT, text))
            return
        stdin = bool(found.config.get("AttachStdin"))
        if inside is None or not await relay(client, inside, stdin=stdin, keys=keys if found.tty else None):
            # Clients ask for the exit code right after.
            await self._settled(found)

    async def _settled(self, found: Exec) -> None:
        try:
            async with asyncio.timeout(_END_PATIENCE):
                await found.ended.wait()
        except TimeoutError:
            return
