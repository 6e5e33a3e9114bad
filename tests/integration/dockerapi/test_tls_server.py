"""The API server over mutual TLS on loopback."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pymachine.dockerapi.client import ConnectFailed, Hijacked, HTTPClient, HTTPError
from pymachine.dockerapi.messages import Answer, Hijack, Request, Stream, json_response
from pymachine.dockerapi.routing import Route
from pymachine.dockerapi.tls import CertificateError, ServerTLS, TLSFiles, client_context
from support.apiserver import serving_tcp
from support.certificates import Authority


async def hello(request: Request) -> Answer:
    return json_response("hello")


async def upper(request: Request) -> Answer:
    """Answers only once the client has said all it has to say."""

    async def run(stream: Stream) -> None:
        said = b""
        while data := await stream.read():
            said += data
        await asyncio.sleep(0.05)
        await stream.write(said.upper())

    return Hijack(run)


ROUTES = (Route("GET", "/hello", hello), Route("POST", "/upper", upper))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority.make(tmp_path / "pki")
    made.issue("server", "127.0.0.1")
    made.issue("client")
    return made


def _server_files(authority: Authority) -> TLSFiles:
    return TLSFiles(authority.ca, authority.folder / "server.pem", authority.folder / "server-key.pem")


def _client(authority: Authority) -> ssl.SSLContext:
    return client_context(TLSFiles(authority.ca, authority.folder / "client.pem", authority.folder / "client-key.pem"))


def test_a_client_with_a_certificate_is_served(authority: Authority) -> None:
    async def run() -> None:
        async with _connected(authority) as (client, _):
            for _ in range(3):
                async with await client.request("GET", "/hello") as response:
                    assert await response.json() == "hello"

    asyncio.run(run())


def test_the_end_of_the_clients_input_is_not_the_end_of_the_connection(authority: Authority) -> None:
    async def run() -> None:
        async with _connected(authority) as (client, _):
            stream = await client.hijack("POST", "/upper")
            assert isinstance(stream, Hijacked)
            sent = b"abc" * 200_000
            await stream.write(sent)
            await stream.write_eof()
            received = b""
            while data := await stream.read():
                received += data
            assert received == sent.upper()
            await stream.close()

    asyncio.run(run())


def test_strangers_are_turned_away(authority: Authority, tmp_path: Path) -> None:
    async def run() -> None:
        other = Authority.make(tmp_path / "other")
        other.issue("client")
        nobody = client_context(TLSFiles(authority.ca))
        foreign = client_context(TLSFiles(authority.ca, other.folder / "client.pem", other.folder / "client-key.pem"))
        async with serving_tcp(ServerTLS(_server_files(authority)), *ROUTES) as port:
            for context in (nobody, foreign):
                async with HTTPClient(f"tcp://127.0.0.1:{port}", tls=context) as client:
                    with pytest.raises(HTTPError):
                        await client.request("GET", "/hello")
            async with HTTPClient(f"tcp://127.0.0.1:{port}") as client:
                with pytest.raises(HTTPError):
                    await client.request("GET", "/hello")

    asyncio.run(run())


def test_a_server_of_another_name_or_ca_is_not_trusted(authority: Authority, tmp_path: Path) -> None:
    async def run() -> None:
        other = Authority.make(tmp_path / "other")
        async with serving_tcp(ServerTLS(_server_files(authority)), *ROUTES) as port:
            async with HTTPClient(f"tcp://localhost:{port}", tls=_client(authority)) as client:
                with pytest.raises(ConnectFailed, match="certificate is not accepted"):
                    await client.request("GET", "/hello")
            async with HTTPClient(f"tcp://127.0.0.1:{port}", tls=client_context(TLSFiles(other.ca))) as client:
                with pytest.raises(ConnectFailed, match="certificate is not accepted"):
                    await client.request("GET", "/hello")

    asyncio.run(run())


def test_a_new_certificate_is_used_and_old_connections_go_on(authority: Authority) -> None:
    async def run() -> None:
        tls = ServerTLS(_server_files(authority))
        async with _connected(authority, tls) as (old, port):
            stream = await old.hijack("POST", "/upper")
            assert isinstance(stream, Hijacked)
            before = await _certificate(port, authority)
            authority.issue("server", "127.0.0.1")
            tls.reload()
            assert await _certificate(port, authority) != before
            await stream.write(b"still here")
            await stream.write_eof()
            assert await stream.read() == b"STILL HERE"
            await stream.close()

    asyncio.run(run())


def test_a_bad_certificate_leaves_the_old_one_in_use(authority: Authority) -> None:
    async def run() -> None:
        tls = ServerTLS(_server_files(authority))
        async with serving_tcp(tls, *ROUTES) as port:
            before = await _certificate(port, authority)
            (authority.folder / "server.pem").write_text("rubbish")
            with pytest.raises(CertificateError):
                tls.reload()
            assert await _certificate(port, authority) == before

    asyncio.run(run())


@asynccontextmanager
async def _connected(authority: Authority, tls: ServerTLS | None = None) -> AsyncIterator[tuple[HTTPClient, int]]:
    """A client of a server with *tls*, and the server's port."""
    async with serving_tcp(tls or ServerTLS(_server_files(authority)), *ROUTES) as port:
        client = HTTPClient(f"tcp://127.0.0.1:{port}", tls=_client(authority))
        try:
            yield client, port
        finally:
            await client.close()


async def _certificate(port: int, authority: Authority) -> bytes | None:
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=_client(authority))
    certificate: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return certificate
