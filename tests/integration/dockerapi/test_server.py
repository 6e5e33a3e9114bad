"""The API server on a real unix socket."""

import asyncio
import json
import os
import socket
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pymachine.dockerapi.client import ClientResponse, Hijacked, HTTPClient
from pymachine.dockerapi.errors import Conflict, InvalidArgument, NotModified
from pymachine.dockerapi.limits import Limits
from pymachine.dockerapi.listeners import ListenError, unix_listener
from pymachine.dockerapi.messages import (
    MULTIPLEXED_STREAM,
    Answer,
    Hijack,
    Request,
    Response,
    Stream,
    json_response,
)
from pymachine.dockerapi.routing import Route
from support.apiserver import raw, serving

CLOSE = b"Connection: close\r\n"


async def hello(request: Request) -> Answer:
    return json_response({"version": request.version, "id": request.params.get("id"), "path": request.path})


async def count(request: Request) -> Answer:
    size = 0
    async for piece in request.body:
        size += len(piece)
    return json_response({"size": size})


async def failing(request: Request) -> Answer:
    raise {
        "conflict": Conflict("it is in use"),
        "unmodified": NotModified("already so"),
        "unforeseen": RuntimeError("first line\nsecond line"),
    }[request.params["how"]]


async def attach(request: Request) -> Answer:
    async def run(stream: Stream) -> None:
        while data := await stream.read():
            await stream.write(b"<" + data + b">")
        await stream.write(b"bye")

    return Hijack(run, MULTIPLEXED_STREAM)


ROUTES = (
    Route("GET", "/hello", hello),
    Route("GET", "/hello/{id}", hello),
    Route("HEAD", "/hello", hello),
    Route("POST", "/count", count),
    Route("GET", "/fail/{how}", failing),
    Route("POST", "/attach", attach),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "api.sock"


async def _get(client: HTTPClient, target: str, method: str = "GET") -> tuple[ClientResponse, bytes]:
    async with await client.request(method, target) as response:
        return response, await response.read()


def test_every_answer_says_what_serves_it(path: Path) -> None:
    async def run() -> None:
        async with serving(path, *ROUTES), HTTPClient(f"unix://{path}") as client:
            for target in ("/hello", "/v1.30/hello", "/nowhere", "/v9.9/hello", "/fail/conflict"):
                response, _ = await _get(client, target)
                assert response.headers["api-version"] == "1.47"
                assert response.headers["ostype"] == "linux"
                assert response.headers["docker-experimental"] == "false"
                assert response.headers["server"] == "test/1 (linux)"

    asyncio.run(run())


def test_versions_and_parameters_reach_the_handler(path: Path) -> None:
    async def run() -> None:
        async with serving(path, *ROUTES), HTTPClient(f"unix://{path}") as client:
            _, body = await _get(client, "/v1.30/hello/a%20b")
            assert json.loads(body) == {"version": [1, 30], "id": "a b", "path": "/hello/a%20b"}
            _, body = await _get(client, "/hello")
            assert json.loads(body)["version"] == [1, 47]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("target", "status", "message"),
    [
        ("/nowhere", 404, "page not found"),
        ("/fail/conflict", 409, "it is in use"),
        ("/fail/unforeseen", 500, "first line"),
        ("/v1.99/hello", 400, "client version 1.99 is too new. Maximum supported API version is 1.47"),
    ],
)
def test_errors_are_answers(path: Path, target: str, status: int, message: str) -> None:
    async def run() -> None:
        async with serving(path, *ROUTES), HTTPClient(f"unix://{path}") as client:
            response, body = await _get(client, target)
            assert (response.status, json.loads(body)) == (status, {"message": message})
            assert response.headers["content-type"] == "application/json"

    asyncio.run(run())


def test_not_modified_has_no_body_and_the_connection_goes_on(path: Path) -> None:
    async def run() -> None:
        async with serving(path, *ROUTES) as server, HTTPClient(f"unix://{path}") as client:
            response, body = await _get(client, "/fail/unmodified")
            assert (response.status, body) == (304, b"")
            assert (await _get(client, "/hello"))[0].status == 200
            assert server.connections == 1

    asyncio.run(run())


def test_head_has_the_length_and_no_body(path: Path) -> None:
    async def run() -> None:
        async with serving(path, *ROUTES), HTTPClient(f"unix://{path}") as client:
            response, body = await _get(client, "/hello", "HEAD")
            assert (response.status, body) == (200, b"")
            assert int(response.headers["content-length"]) > 0
            assert (await _get(client, "/hello"))[0].status == 200

    asyncio.run(run())


def test_pipelined_requests_are_answered_in_order(path: Path) -> None:
    async def run() -> None:
        async with serving(path, *ROUTES):
            first = b"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
            second = b"POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            answer = await raw(path, first + second + b"GET /hello HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n")
            assert answer.index(b'{"size":5}') < answer.index(b'{"size":3}') < answer.index(b'"version"')

    asyncio.run(run())


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

    async def endless(request: Request) -> Answer:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                yield b"first"
                await asyncio.Event().wait()
            finally:
                closed.set()

        return Response(stream=pieces())

    async def run() -> None:
        async with serving(path, Route("GET", "/endless", endless)):
            async with HTTPClient(f"unix://{path}") as client:
                response = await client.request("GET", "/endless")
                assert await response.receive() == b"first"
                await response.close()
            await asyncio.wait_for(closed.wait(), 5)

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
            assert (await _get(client, "/hello"))[0].status == 200

    asyncio.run(run())


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"rubbish\r\n\r\n", b"400"),
        (b"GET /hello HTTP/1.1\r\nHost: x\r\nX: " + bytes([65]) * 300_000, b"431"),
        (b"GET /" + bytes([65]) * 300_000, b"431"),
        (b"POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2\r\n\r\n", b"400"),
        (b"GET /hello HTTP/1.1\r\n\r\n", b"400"),
    ],
)
def test_malformed_requests_are_refused(path: Path, request_bytes: bytes, status: bytes) -> None:
    async def run() -> None:
        async with serving(path, *ROUTES):
            assert (await raw(path, request_bytes)).split(b" ")[1] == status

    asyncio.run(run())


def test_slow_headers_and_idle_connections_are_closed(path: Path) -> None:
    async def run() -> None:
        limits = Limits(header_timeout=0.2, idle_timeout=0.2, linger=0.1)
        async with serving(path, *ROUTES, limits=limits):
            assert await asyncio.wait_for(raw(path, b"GET /hel"), 5) == b""
            assert await asyncio.wait_for(raw(path, b""), 5) == b""

    asyncio.run(run())


def test_when_all_places_are_taken_the_longest_idle_client_goes(path: Path) -> None:
    async def run() -> None:
        async with serving(path, *ROUTES, limits=Limits(connections=2, linger=0.1)) as server:
            first = await asyncio.open_unix_connection(str(path))
            second = await asyncio.open_unix_connection(str(path))
            await asyncio.sleep(0.05)
            async with HTTPClient(f"unix://{path}") as client:
                assert (await _get(client, "/hello"))[0].status == 200
            assert await asyncio.wait_for(first[0].read(), 5) == b""
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
                started = time.monotonic()
                assert (await _get(client, "/hello"))[0].status == 200
                assert time.monotonic() - started < 5
            writer.close()

    asyncio.run(run())


def test_closing_lets_requests_finish_and_ends_streams(path: Path) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def working(request: Request) -> Answer:
        started.set()
        await asyncio.sleep(0.2)
        return json_response("done")

    async def endless(request: Request) -> Answer:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                yield b"first"
                await asyncio.Event().wait()
            finally:
                ended.set()

        return Response(stream=pieces())

    async def run() -> None:
        client = HTTPClient(f"unix://{path}")
        async with serving(path, Route("GET", "/work", working), Route("GET", "/endless", endless), grace=5):
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
