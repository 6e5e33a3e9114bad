"""The registry client against a server that does what the real one cannot be made to do: tokens, redirects,
broken connections, wrong bytes. No root needed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pymachine.dockerapi.errors import EngineError, InvalidArgument
from pymachine.engine.images.errors import DigestMismatch
from pymachine.engine.images.progress import Message
from pymachine.engine.images.registry import manifests
from pymachine.engine.images.registry.credentials import NOBODY, Credentials
from pymachine.engine.images.registry.download import Downloader
from pymachine.engine.images.registry.endpoints import Endpoint
from pymachine.engine.images.registry.errors import RegistryRefused
from pymachine.engine.images.registry.manifests import Descriptor
from pymachine.engine.images.registry.session import Session
from support.serving import serving

BLOB = bytes(range(256)) * 20_000
DIGEST = "sha256:" + hashlib.sha256(BLOB).hexdigest()
JOE = Credentials("joe", "secret")


class Server(ThreadingHTTPServer):
    """What to do, and what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.token_users: list[str] = []
        self.blob = BLOB
        self.cut_after: list[int] = []
        """Bytes after which the next blob answers break off."""
        self.redirect_to = ""
        self.manifest = b"{}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((self.path, headers))
        if parts.path == "/token":
            self._token(parse_qs(parts.query), headers)
        elif parts.path.startswith("/storage/"):
            self._blob(headers)
        elif headers.get("authorization") != "Bearer good":
            challenge = f'Bearer realm="{self.server.url}/token?x=1",service="reg",scope="whatever"'
            self._answer(401, b'{"errors": [{"code": "UNAUTHORIZED"}]}', {"WWW-Authenticate": challenge})
        elif "/blobs/" in parts.path and self.server.redirect_to:
            self._answer(307, b"", {"Location": self.server.redirect_to + "/storage/x"})
        elif "/blobs/" in parts.path:
            self._blob(headers)
        else:
            self._answer(200, self.server.manifest, {"Content-Type": manifests.OCI_MANIFEST})

    def _token(self, query: dict[str, list[str]], headers: dict[str, str]) -> None:
        user = base64.b64decode(headers.get("authorization", "Basic ").partition(" ")[2]).decode()
        self.server.token_users.append(user)
        right = query["scope"] == ["repository:team/app:pull"] and query["service"] == ["reg"]
        if user == "joe:wrong":
            self._answer(401, b'{"errors": [{"code": "UNAUTHORIZED", "message": "incorrect password"}]}')
        else:
            self._answer(200, json.dumps({"token": "good" if right else "bad"}).encode())

    def _blob(self, headers: dict[str, str]) -> None:
        start = int(headers.get("range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        body = self.server.blob[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.cut_after:
            self.wfile.write(body[: self.server.cut_after.pop(0)])
            self.close_connection = True
            return
        self.wfile.write(body)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(one := Server()):
        yield one


def _session(server: Server, credentials: Credentials = NOBODY) -> Session:
    return Session(Endpoint(server.url, insecure=True), "team/app", credentials)


async def _download(server: Server, folder: Path, wanted: Descriptor) -> tuple[bytes, list[Message]]:
    said: list[Message] = []
    with ThreadPoolExecutor(4) as executor:
        downloader = Downloader(folder, executor, first_delay=0.01)
        async with _session(server) as session, downloader.blob(session, wanted, "abc", said.append) as file:
            return file.read(), said


def test_a_token_is_got_once_with_the_password_and_used_for_all(server: Server) -> None:
    async def run() -> None:
        async with _session(server, JOE) as session:
            await asyncio.gather(*(manifests.fetch(session, "1") for _ in range(5)))

    asyncio.run(run())
    assert server.token_users == ["joe:secret"]
    sent = [headers.get("authorization") for path, headers in server.seen if "/manifests/" in path]
    assert "Basic" not in str(sent)


def test_a_wrong_password_is_said_as_the_token_server_says_it(server: Server) -> None:
    async def run() -> None:
        async with _session(server, Credentials("joe", "wrong")) as session:
            await manifests.fetch(session, "1")

    with pytest.raises(RegistryRefused, match="incorrect password"):
        asyncio.run(run())


def test_a_token_server_without_https_gets_no_password_from_a_secure_registry(server: Server) -> None:
    async def run() -> None:
        async with Session(Endpoint(server.url, insecure=False), "team/app", JOE) as session:
            await manifests.fetch(session, "1")

    with pytest.raises(EngineError, match="not https"):
        asyncio.run(run())
    assert server.token_users == []


def test_secrets_do_not_follow_a_redirect_to_another_host(server: Server, tmp_path: Path) -> None:
    with serving(storage := Server()):
        server.redirect_to = storage.url
        data, _ = asyncio.run(_download(server, tmp_path, Descriptor(DIGEST, len(BLOB))))
        assert data == BLOB
        assert [path for path, _ in storage.seen] == ["/storage/x"]
        assert "authorization" not in storage.seen[0][1]


def test_endless_redirects_end(server: Server, tmp_path: Path) -> None:
    server.redirect_to = server.url + "/v2/team/app/blobs"
    with pytest.raises(EngineError, match="redirects too often"):
        asyncio.run(_download(server, tmp_path, Descriptor(DIGEST, len(BLOB))))


def test_a_download_that_breaks_off_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    server.cut_after = [3_000_000, 10, 1_500_000]
    data, said = asyncio.run(_download(server, tmp_path, Descriptor(DIGEST, len(BLOB))))
    assert data == BLOB
    ranges = [headers["range"] for _, headers in server.seen if "range" in headers]
    assert ranges == ["bytes=3000000-", "bytes=3000010-", "bytes=4500010-"]
    assert "Retrying in 1 second" in [message["status"] for message in said]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("blob", [BLOB[:-1], BLOB + b"x", b"X" + BLOB[1:], b""])
def test_wrong_bytes_are_never_given_out(server: Server, tmp_path: Path, blob: bytes) -> None:
    server.blob = blob
    with pytest.raises(DigestMismatch):
        asyncio.run(_download(server, tmp_path, Descriptor(DIGEST, len(BLOB))))


@pytest.mark.parametrize(
    "manifest",
    [
        [],
        {"schemaVersion": 1, "mediaType": "application/vnd.docker.distribution.manifest.v1+json"},
        {"schemaVersion": 2, "config": {}, "layers": []},
        {"schemaVersion": 2, "config": {"digest": "sha256:../../x", "size": 1}, "layers": []},
        {"schemaVersion": 2, "config": {"digest": DIGEST, "size": -1}, "layers": []},
        {"schemaVersion": 2, "config": {"digest": DIGEST, "size": 1, "mediaType": "text/plain"}, "layers": []},
        {"schemaVersion": 2, "config": {"digest": DIGEST, "size": 1}, "layers": {}},
        {"mediaType": manifests.OCI_INDEX, "manifests": [{"platform": 1}, 2]},
    ],
)
def test_manifests_that_are_none_are_refused(server: Server, manifest: Any) -> None:
    server.manifest = json.dumps(manifest).encode()

    async def run() -> None:
        async with _session(server) as session:
            manifests.parse(await manifests.fetch(session, "1"))

    with pytest.raises((InvalidArgument, EngineError)):
        asyncio.run(run())


def test_a_manifest_by_digest_must_have_that_digest(server: Server) -> None:
    async def run() -> None:
        async with _session(server) as session:
            await manifests.fetch(session, DIGEST)

    with pytest.raises(DigestMismatch):
        asyncio.run(run())
