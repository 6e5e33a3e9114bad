"""The API server on a real unix socket: what it answers."""

import asyncio
import json
from pathlib import Path

import pytest

from pymachine.dockerapi.client import HTTPClient
from support.apiserver import CLOSE, ROUTES, get, raw, serving


def test_every_answer_says_what_serves_it(path: Path) -> None:
    async def run() -> None:
        async with serving(path, *ROUTES), HTTPClient(f"unix://{path}") as client:
            for target in ("/hello", "/v1.30/hello", "/nowhere", "/v9.9/hello", "/fail/conflict"):
                response, _ = await get(client, target)
                assert response.headers["api-version"] == "1.47"
                assert response.headers["ostype"] == "linux"
                assert response.headers["docker-experimental"] == "false"
                assert response.headers["server"] == "test/1 (linux)"

    asyncio.run(run())


def test_versions_and_parameters_reach_the_handler(path: Path) -> None:
    async def run() -> None:
        async with serving(path, *ROUTES), HTTPClient(f"unix://{path}") as client:
            _, body = await get(client, "/v1.30/hello/a%20b")
            assert json.loads(body) == {"version": [1, 30], "id": "a b", "path": "/hello/a%20b"}
            _, body = await get(client, "/hello")
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
            response, body = await get(client, target)
            assert (response.status, json.loads(body)) == (status, {"message": message})
            assert response.headers["content-type"] == "application/json"

    asyncio.run(run())


def test_not_modified_has_no_body_and_the_connection_goes_on(path: Path) -> None:
    async def run() -> None:
        async with serving(path, *ROUTES) as server, HTTPClient(f"unix://{path}") as client:
            response, body = await get(client, "/fail/unmodified")
            assert (response.status, body) == (304, b"")
            assert (await get(client, "/hello"))[0].status == 200
            assert server.connections == 1

    asyncio.run(run())


def test_head_has_the_length_and_no_body(path: Path) -> None:
    async def run() -> None:
        async with serving(path, *ROUTES), HTTPClient(f"unix://{path}") as client:
            response, body = await get(client, "/hello", "HEAD")
            assert (response.status, body) == (200, b"")
            assert int(response.headers["content-length"]) > 0
            assert (await get(client, "/hello"))[0].status == 200

    asyncio.run(run())


def test_pipelined_requests_are_answered_in_order(path: Path) -> None:
    async def run() -> None:
        async with serving(path, *ROUTES):
            first = b"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
            second = b"POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            answer = await raw(path, first + second + b"GET /hello HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n")
            assert answer.index(b'{"size":5}') < answer.index(b'{"size":3}') < answer.index(b'"version"')

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
