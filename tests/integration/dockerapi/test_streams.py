"""Bodies of any size, answers that go on, and connections that a handler takes over."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pymachine.dockerapi.client import ClientResponse, Hijacked, HTTPClient
from pymachine.dockerapi.errors import InvalidArgument
from pymachine.dockerapi.messages import MULTIPLEXED_STREAM, Answer, Request, Response
from pymachine.dockerapi.routing import Route
from support.apiserver import CLOSE, ROUTES, count, endless, get, raw, serving


def test_a_body_of_any_size_streams_in(path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield bytes(2**20)

    async def run() -> None:
        async with serving(path, *ROUTES), HTTPClient(f"unix://{path}") as client:
            response = await client.request("POST", "/count", body=pieces())
            assert await response.json() == {"size": 64 * 2**20}

    asyncio.run(run())


def test_a_client_is_made_to_wait_while_the_handler_does_not_read(path: Path) -> None:
    gate = asyncio.Event()

    async def slow(request: Request) -> Answer:
        await gate.wait()
        return await count(request)

    async def run() -> None:
        async with serving(path, Route("POST", "/slow", slow)):
            reader, writer = await asyncio.open_unix_connection(str(path))
            size = 32 * 2**20
            writer.write(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % size + CLOSE + b"\r\n")
            writer.write(bytes(size))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(writer.drain(), 0.3)
            gate.set()
            assert b'{"size":33554432}' in await reader.read()
            writer.close()

    asyncio.run(run())


def test_continue_is_sent_when_the_body_is_wanted_and_only_then(path: Path) -> None:
    async def refuse(request: Request) -> Answer:
        raise InvalidArgument("no")

    async def run() -> None:
        async with serving(path, *ROUTES, Route("POST", "/refuse", refuse)):
            head = b"POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n"
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(head % b"/count" + CLOSE + b"\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
            writer.write(b"abc")
            assert (await reader.read()).endswith(b'{"size":3}\n')
            writer.close()
            answer = await raw(path, head % b"/refuse" + b"\r\n")
            assert answer.startswith(b"HTTP/1.1 400")

    asyncio.run(run())


def test_headers_go_out_before_the_first_piece(path: Path) -> None:
    gate = asyncio.Event()

    async def waiting(request: Request) -> Answer:
        async def pieces() -> AsyncIterator[bytes]:
            await gate.wait()
            yield b"now"

        return Response(stream=pieces())

    async def run() -> None:
        async with serving(path, Route("POST", "/wait", waiting)), HTTPClient(f"unix://{path}") as client:
            response = await client.request("POST", "/wait")
            assert response.status == 200
            gate.set()
            assert await response.read() == b"now"

    asyncio.run(run())


def test_an_iterator_is_closed_when_its_client_goes(path: Path) -> None:
    closed = asyncio.Event()

    async def run() -> None:
        async with serving(path, Route("GET", "/endless", endless(closed))):
            async with HTTPClient(f"unix://{path}") as client:
                response = await client.request("GET", "/endless")
                assert await response.receive() == b"first"
                await response.close()
            await asyncio.wait_for(closed.wait(), 60)

    asyncio.run(run())


def test_an_answer_that_breaks_off_does_not_look_whole(path: Path) -> None:
    async def broken(request: Request) -> Answer:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"some"
            raise RuntimeError("disk on fire")

        return Response(stream=pieces())

    async def run() -> None:
        async with serving(path, Route("GET", "/broken", broken)):
            answer = await raw(path, b"GET /broken HTTP/1.1\r\nHost: x\r\n\r\n")
            assert answer.endswith(b"some\r\n")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("version", "upgrade", "status", "kind"),
    [
        ("v1.42", True, 101, MULTIPLEXED_STREAM),
        ("v1.47", False, 200, MULTIPLEXED_STREAM),
        ("v1.41", True, 101, "application/vnd.docker.raw-stream"),
    ],
)
def test_a_connection_can_be_taken_over(path: Path, version: str, upgrade: bool, status: int, kind: str) -> None:
    async def run() -> None:
        async with serving(path, *ROUTES), HTTPClient(f"unix://{path}") as client:
            stream = await client.hijack("POST", f"/{version}/attach", upgrade=upgrade)
            assert isinstance(stream, Hijacked)
            assert (stream.status, stream.headers["content-type"]) == (status, kind)
            assert stream.headers.get("upgrade") == ("tcp" if upgrade else None)
            await stream.write(b"one")
            assert await stream.read() == b"<one>"
            await stream.write_eof()
            assert await stream.read() == b"bye"
            assert await stream.read() == b""
            await stream.close()

    asyncio.run(run())


def test_bytes_that_came_with_the_head_reach_the_stream(path: Path) -> None:
    async def run() -> None:
        async with serving(path, *ROUTES):
            head = b"POST /attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
            answer = await raw(path, head + b"early", close=True)
            assert answer.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
            assert answer.endswith(b"<early>bye")

    asyncio.run(run())


def test_a_refused_takeover_is_an_ordinary_answer(path: Path) -> None:
    async def run() -> None:
        async with serving(path, *ROUTES), HTTPClient(f"unix://{path}") as client:
            response = await client.hijack("POST", "/nowhere")
            assert isinstance(response, ClientResponse)
            assert (response.status, await response.json()) == (404, {"message": "page not found"})
            assert (await get(client, "/hello"))[0].status == 200

    asyncio.run(run())
