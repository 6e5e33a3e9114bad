"""An API server for the time of a test, routes for it, and raw connections to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from pymachine.dockerapi.client import ClientResponse, HTTPClient
from pymachine.dockerapi.errors import Conflict, NotModified
from pymachine.dockerapi.limits import Limits
from pymachine.dockerapi.messages import (
    MULTIPLEXED_STREAM,
    Answer,
    Hijack,
    Request,
    Response,
    Stream,
    json_response,
)
from pymachine.dockerapi.routing import Route, Router
from pymachine.dockerapi.server import APIServer
from pymachine.dockerapi.tls import ServerTLS

CLOSE = b"Connection: close\r\n"


async def hello(request: Request) -> Answer:
    """What came of the request."""
    return json_response({"version": request.version, "id": request.params.get("id"), "path": request.path})


async def count(request: Request) -> Answer:
    """The size of the body."""
    size = 0
    async for piece in request.body:
        size += len(piece)
    return json_response({"size": size})


async def failing(request: Request) -> Answer:
    """Errors of each kind."""
    raise {
        "conflict": Conflict("it is in use"),
        "unmodified": NotModified("already so"),
        "unforeseen": RuntimeError("first line\nsecond line"),
    }[request.params["how"]]


async def attach(request: Request) -> Answer:
    """Takes the connection over and gives back what it reads, in brackets."""

    async def run(stream: Stream) -> None:
        while data := await stream.read():
            await stream.write(b"<" + data + b">")
        await stream.write(b"bye")

    return Hijack(run, MULTIPLEXED_STREAM)


def endless(closed: asyncio.Event) -> Callable[[Request], Awaitable[Answer]]:
    """A handler that says one thing and waits for ever; *closed* is set when it is made to end."""

    async def answer(request: Request) -> Answer:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                yield b"first"
                await asyncio.Event().wait()
            finally:
                closed.set()

        return Response(stream=pieces())

    return answer


ROUTES = (
    Route("GET", "/hello", hello),
    Route("GET", "/hello/{id}", hello),
    Route("HEAD", "/hello", hello),
    Route("POST", "/count", count),
    Route("GET", "/fail/{how}", failing),
    Route("POST", "/attach", attach),
)


@asynccontextmanager
async def serving(
    socket: Path, *routes: Route, limits: Limits | None = None, grace: float = 1.0
) -> AsyncIterator[APIServer]:
    """A server with *routes* on a unix socket."""
    router = Router()
    router.add(*routes)
    server = APIServer(router, product="test/1", limits=limits)
    await server.listen_unix(socket)
    try:
        yield server
    finally:
        await server.close(grace)


@asynccontextmanager
async def serving_tcp(tls: ServerTLS | None, *routes: Route) -> AsyncIterator[int]:
    """A server with *routes* on a loopback port, which it gives."""
    router = Router()
    router.add(*routes)
    server = APIServer(router, product="test/1")
    port = await server.listen_tcp("127.0.0.1", 0, tls=tls)
    try:
        yield port
    finally:
        await server.close(1.0)


async def get(client: HTTPClient, target: str, method: str = "GET") -> tuple[ClientResponse, bytes]:
    """The whole answer to a request."""
    async with await client.request(method, target) as response:
        return response, await response.read()


async def raw(socket: Path, data: bytes, *, close: bool = False) -> bytes:
    """Send *data* on a fresh connection and give everything that comes back until the server closes."""
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        writer.write(data)
        if close:
            writer.write_eof()
        return await reader.read()
    finally:
        writer.close()
