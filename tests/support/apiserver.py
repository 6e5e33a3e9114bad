"""An API server for the time of a test, and raw connections to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pymachine.dockerapi.limits import Limits
from pymachine.dockerapi.routing import Route, Router
from pymachine.dockerapi.server import APIServer
from pymachine.dockerapi.tls import ServerTLS


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
