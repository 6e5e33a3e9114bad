"""The HTTP client against servers that behave, and against some that do not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pymachine.dockerapi.client import ConnectFailed, HTTPClient, TimedOut, TransferFailed
from pymachine.dockerapi.endpoints import Endpoint, parse
from pymachine.dockerapi.messages import Answer, Request, Response
from pymachine.dockerapi.routing import Route
from support.apiserver import serving

Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def scripted(conversation: Conversation) -> AsyncIterator[str]:
    """A TCP server that does with each connection what *conversation* says; its URL."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await conversation(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def _ask(client: HTTPClient, url: str, method: str = "GET") -> tuple[int, bytes]:
    async with await client.request(method, url) as response:
        return response.status, await response.read()


def test_a_connection_is_used_again(tmp_path: Path) -> None:
    async def hello(request: Request) -> Answer:
        return Response(200, b"hello")

    async def run() -> None:
        async with (
            serving(tmp_path / "s", Route("GET", "/", hello)) as server,
            HTTPClient(f"unix://{tmp_path}/s") as client,
        ):
            for _ in range(5):
                assert await _ask(client, "/") == (200, b"hello")
            assert server.connections == 1

    asyncio.run(run())


def test_a_server_that_closed_an_idle_connection_is_asked_again() -> None:
    count = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def run() -> None:
        async with scripted(once) as url, HTTPClient() as client:
            assert await _ask(client, url) == (200, b"ok")
            assert await _ask(client, url) == (200, b"ok")
            assert count == 2

    asyncio.run(run())


def test_redirects_are_left_to_the_caller() -> None:
    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 307 Go\r\nLocation: http://elsewhere.test/\r\nContent-Length: 0\r\n\r\n")

    async def run() -> None:
        async with scripted(redirect) as url, HTTPClient() as client:
            response = await client.request("GET", url)
            assert (response.status, response.headers["location"]) == (307, "http://elsewhere.test/")
            await response.close()

    asyncio.run(run())


def test_a_refusal_in_the_middle_of_an_upload_is_seen() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 401 No\r\nContent-Length: 3\r\n\r\nno\n")
        await writer.drain()
        await asyncio.sleep(0.2)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(65536)

    async def run() -> None:
        async with scripted(refuse) as url, HTTPClient() as client:
            response = await client.request("POST", url, body=endless())
            assert (response.status, await response.read()) == (401, b"no\n")

    asyncio.run(run())


def test_what_the_bodys_source_raises_reaches_the_caller() -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass

    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise ValueError("the file is damaged")

    async def run() -> None:
        async with scripted(swallow) as url, HTTPClient() as client:
            with pytest.raises(ValueError, match="the file is damaged"):
                await client.request("POST", url, body=broken())

    asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "the connection broke off"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive5", "the connection broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "the connection broke off"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 400_000, "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"a" * 1000, "longer than 100 bytes"),
    ],
)
def test_bad_answers_are_errors_of_one_line(answer: bytes, words: str) -> None:
    async def bad(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async def run() -> None:
        async with scripted(bad) as url, HTTPClient() as client:
            with pytest.raises(TransferFailed, match=words) as caught:
                async with await client.request("GET", url) as response:
                    await response.read(100)
            assert "\n" not in str(caught.value)

    asyncio.run(run())


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"])
def test_silence_ends_in_a_timeout(head: bytes) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        await reader.read()

    async def run() -> None:
        async with scripted(silent) as url, HTTPClient(timeout=0.2) as client:
            with pytest.raises(TimedOut):
                async with await client.request("GET", url) as response:
                    await response.read()

    asyncio.run(run())


def test_nobody_there_is_named(tmp_path: Path) -> None:
    async def run() -> None:
        async with HTTPClient(f"unix://{tmp_path}/none.sock") as client:
            with pytest.raises(ConnectFailed, match=r"none\.sock: "):
                await client.request("GET", "/")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("url", "endpoint", "target"),
    [
        ("https://r.test/v2/?a=b", Endpoint("r.test", 443, secure=True), "/v2/?a=b"),
        ("http://r.test:5000", Endpoint("r.test", 5000), "/"),
        ("http://[::1]:80/x", Endpoint("::1", 80), "/x"),
        ("tcp://h:2376", Endpoint("h", 2376), "/"),
        ("unix:///run/x.sock", Endpoint("", path="/run/x.sock"), "/"),
    ],
)
def test_addresses_are_read(url: str, endpoint: Endpoint, target: str) -> None:
    assert parse(url) == (endpoint, target)


@pytest.mark.parametrize("url", ["ftp://x", "http://", "unix://relative", "nothing", "http://h:99999/"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError):
        parse(url)


def test_the_host_header_has_the_port_only_where_needed() -> None:
    assert Endpoint("r.test", 443, secure=True).authority == "r.test"
    assert Endpoint("r.test", 443).authority == "r.test:443"
    assert Endpoint("::1", 80).authority == "[::1]"
