"""Connections to the API server: slow, silent, too many, or open when it closes; and the socket they come by."""

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pymachine.dockerapi.client import HTTPClient
from pymachine.dockerapi.limits import Limits
from pymachine.dockerapi.listeners import ListenError, unix_listener
from pymachine.dockerapi.messages import Answer, Request, Response, json_response
from pymachine.dockerapi.routing import Route
from support.apiserver import ROUTES, endless, get, raw, serving


def test_slow_headers_and_idle_connections_are_closed(path: Path) -> None:
    async def run() -> None:
        limits = Limits(header_timeout=0.2, idle_timeout=0.2, linger=0.1)
        async with serving(path, *ROUTES, limits=limits):
            assert await asyncio.wait_for(raw(path, b"GET /hel"), 60) == b""
            assert await asyncio.wait_for(raw(path, b""), 60) == b""

    asyncio.run(run())


def test_when_all_places_are_taken_the_longest_idle_client_goes(path: Path) -> None:
    async def run() -> None:
        async with serving(path, *ROUTES, limits=Limits(connections=2, linger=0.1)) as server:
            first = await asyncio.open_unix_connection(str(path))
            second = await asyncio.open_unix_connection(str(path))
            await asyncio.sleep(0.05)
            async with HTTPClient(f"unix://{path}") as client:
                assert (await get(client, "/hello"))[0].status == 200
            assert await asyncio.wait_for(first[0].read(), 60) == b""
            assert server.connections <= 2
            for _, writer in (first, second):
                writer.close()

    asyncio.run(run())


def test_a_client_that_does_not_read_holds_nobody_up(path: Path) -> None:
    async def flood(request: Request) -> Answer:
        async def pieces() -> AsyncIterator[bytes]:
            while True:
                yield bytes(2**16)

        return Response(stream=pieces())

    async def run() -> None:
        async with serving(path, *ROUTES, Route("GET", "/flood", flood)):
            _, writer = await asyncio.open_unix_connection(str(path), limit=1024)
            writer.write(b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.sleep(0.1)
            async with HTTPClient(f"unix://{path}") as client:
                response, _ = await asyncio.wait_for(get(client, "/hello"), 60)
                assert response.status == 200
            writer.close()

    asyncio.run(run())


def test_closing_lets_requests_finish_and_ends_streams(path: Path) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def working(request: Request) -> Answer:
        started.set()
        await asyncio.sleep(0.2)
        return json_response("done")

    async def run() -> None:
        client = HTTPClient(f"unix://{path}")
        async with serving(path, Route("GET", "/work", working), Route("GET", "/endless", endless(ended)), grace=5):
            stream = await client.request("GET", "/endless")
            await stream.receive()
            asked = asyncio.ensure_future(client.request("GET", "/work"))
            await started.wait()
        async with await asked as response:
            assert await response.json() == "done"
            assert response.headers["connection"] == "close"
        assert ended.is_set()
        assert not path.exists()
        await stream.close()
        await client.close()

    asyncio.run(run())


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(path: Path) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    listener = unix_listener(path)
    try:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with pytest.raises(ListenError, match="another process is listening"):
            unix_listener(path)
    finally:
        listener.close()


def test_a_file_in_the_sockets_place_is_left_alone(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(ListenError, match="no socket"):
        unix_listener(path)
    assert path.read_text() == "precious"


def test_a_socket_that_another_server_took_over_is_not_removed(path: Path) -> None:
    async def run() -> None:
        async with serving(path, *ROUTES):
            os.unlink(path)
            replacement = unix_listener(path)
        assert path.exists()
        replacement.close()

    asyncio.run(run())
