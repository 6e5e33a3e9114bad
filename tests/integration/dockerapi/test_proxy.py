"""The HTTP client through a proxy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pymachine.dockerapi.client import ConnectFailed, HTTPClient
from pymachine.dockerapi.messages import Answer, Request, json_response
from pymachine.dockerapi.proxies import Proxies, Proxy
from pymachine.dockerapi.routing import Route
from pymachine.dockerapi.tls import ServerTLS, TLSFiles, client_context
from support.apiserver import serving_tcp
from support.certificates import Authority


async def hello(request: Request) -> Answer:
    return json_response("hello")


@asynccontextmanager
async def proxying(to: int, heads: list[bytes], *, answer: bytes = b"200 Fine") -> AsyncIterator[Proxy]:
    """A proxy that connects everyone to loopback port *to*, whatever they ask for."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        if not answer.startswith(b"200"):
            writer.write(b"HTTP/1.1 " + answer + b"\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to)
        if head.startswith(b"CONNECT"):
            writer.write(b"HTTP/1.1 200 Fine\r\n\r\n")
        else:
            far_writer.write(head)
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield Proxy("127.0.0.1", server.sockets[0].getsockname()[1], "Basic eDp5")
    finally:
        server.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            target.write(data)
    except ConnectionError:
        pass
    target.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority.make(tmp_path / "pki")
    made.issue("server", "registry.test")
    return made


def test_https_goes_through_a_tunnel_to_the_server_itself(authority: Authority) -> None:
    heads: list[bytes] = []
    tls = ServerTLS(TLSFiles(None, authority.folder / "server.pem", authority.folder / "server-key.pem"))

    async def run() -> None:
        async with (
            serving_tcp(tls, Route("GET", "/hello", hello)) as port,
            proxying(port, heads) as proxy,
            HTTPClient(tls=client_context(TLSFiles(authority.ca)), proxies=Proxies(https=proxy)) as client,
        ):
            for _ in range(2):
                response = await client.request("GET", "https://registry.test/hello")
                assert await response.json() == "hello"

    asyncio.run(run())
    assert len(heads) == 1
    assert heads[0].startswith(b"CONNECT registry.test:443 HTTP/1.1\r\n")
    assert b"proxy-authorization: basic edp5" in heads[0].lower()


def test_plain_http_is_asked_of_the_proxy() -> None:
    heads: list[bytes] = []

    async def run() -> None:
        async with (
            serving_tcp(None, Route("GET", "/hello", hello)) as port,
            proxying(port, heads) as proxy,
            HTTPClient(proxies=Proxies(http=proxy)) as client,
        ):
            response = await client.request("GET", "http://registry.test:5000/hello?a=b")
            assert await response.json() == "hello"

    asyncio.run(run())
    assert heads[0].startswith(b"GET http://registry.test:5000/hello?a=b HTTP/1.1\r\n")


def test_a_proxy_that_refuses_is_named(authority: Authority) -> None:
    async def run() -> None:
        async with (
            proxying(1, [], answer=b"407 Who are you") as proxy,
            HTTPClient(tls=client_context(TLSFiles(authority.ca)), proxies=Proxies(https=proxy)) as client,
        ):
            with pytest.raises(ConnectFailed, match=r"proxy 127\.0\.0\.1:\d+ does not connect to registry\.test: 407"):
                await client.request("GET", "https://registry.test/hello")

    asyncio.run(run())
