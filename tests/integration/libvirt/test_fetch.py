"""Images over HTTP from a server of the test's own: resumed, told of, held to their checksums, never half there."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import re
import struct
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pymachine.drivers.libvirt.images import catalogue, download, fetch
from pymachine.drivers.libvirt.images.library import PART_SECONDS, Library, VMImage
from pymachine.machine.errors import DriverError

IMAGE = (b"QFI\xfb" + struct.pack(">IQIIQ", 3, 0, 0, 16, 1 << 30)).ljust(5 << 20, b"\1")
IMAGE = IMAGE[:72] + bytes(32) + IMAGE[104:]
CHECKSUM = f"sha256:{hashlib.sha256(IMAGE).hexdigest()}"
PART = 2 << 20


class Publisher(http.server.ThreadingHTTPServer):
    """Says what it was asked, and misbehaves as it is told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"/disk.qcow2": IMAGE}
        self.breaks = 0
        """How many times the connection breaks off after `PART` bytes."""
        self.failures = 0
        """How many times it says 503."""
        self.ranges = True
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Publisher

    def do_GET(self) -> None:
        publisher, path = self.server, urlsplit(self.path).path
        publisher.asked.append(f"{path} {self.headers.get('Range', '-')}")
        if path.startswith("/mirror/"):
            self.send_response(302)
            self.send_header("Location", path.removeprefix("/mirror"))
            self.end_headers()
        elif publisher.failures:
            publisher.failures -= 1
            self.send_error(503)
        elif (content := publisher.files.get(path)) is None:
            self.send_error(404)
        else:
            self._give(content)

    def _give(self, content: bytes) -> None:
        publisher = self.server
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if publisher.ranges else None
        start = int(asked[1]) if asked else 0
        if asked and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content)
        if publisher.breaks:
            publisher.breaks -= 1
            end = min(end, start + PART)
        self.wfile.write(content[start:end])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with Publisher() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE", 0.0)


class Home:
    """A library, and what was told while it was filled."""

    def __init__(self, root: Path) -> None:
        self.library = Library(root)
        self.told: list[str] = []

    def fetch(self, name: str, checksum: str = CHECKSUM) -> VMImage:
        return fetch.obtain(
            name, checksum=checksum, architecture="x86_64", report=self.told.append, library=self.library
        )

    @property
    def parts(self) -> list[Path]:
        return list(self.library.root.glob(".part-*"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "library")


def test_progress_is_told_and_a_second_fetch_asks_nobody(publisher: Publisher, home: Home) -> None:
    url = f"{publisher.url}/mirror/disk.qcow2"
    first = home.fetch(url)

    assert (first.format, first.virtual_size, first.path.read_bytes()) == ("qcow2", 1 << 30, IMAGE)
    assert home.fetch(url).digest == first.digest
    assert publisher.asked == ["/mirror/disk.qcow2 -", "/disk.qcow2 -"]
    assert home.told[0] == f"Fetching {url}"
    assert "Fetched 50 % of 5 MiB" in home.told
    assert home.parts == []


def test_a_broken_connection_is_resumed(publisher: Publisher, home: Home) -> None:
    publisher.breaks = 2
    home.fetch(f"{publisher.url}/disk.qcow2")

    assert publisher.asked == [f"/disk.qcow2 {part}" for part in ("-", f"bytes={PART}-", f"bytes={2 * PART}-")]
    progress = [line for line in home.told if line.startswith("Fetched")]
    assert len(progress) == len(set(progress))


def test_a_later_command_goes_on_where_one_gave_up(publisher: Publisher, home: Home) -> None:
    publisher.breaks = 1
    url = f"{publisher.url}/disk.qcow2"

    def fail_from_now_on(line: str) -> None:
        publisher.failures = 99 * line.startswith("Fetched")

    with pytest.raises(DriverError, match="503"):
        fetch.obtain(url, checksum=CHECKSUM, architecture="x86_64", report=fail_from_now_on, library=home.library)
    (part,) = home.parts
    assert part.stat().st_size == PART
    publisher.failures = 0
    publisher.asked.clear()
    assert home.fetch(url).path.read_bytes() == IMAGE
    assert publisher.asked == [f"/disk.qcow2 bytes={PART}-"]
    assert home.told[1].startswith("Going on with what is here")


def test_a_server_without_ranges_gives_all_again(publisher: Publisher, home: Home) -> None:
    publisher.breaks, publisher.ranges = 1, False
    home.fetch(f"{publisher.url}/disk.qcow2")

    assert publisher.asked == ["/disk.qcow2 -", f"/disk.qcow2 bytes={PART}-"]


@pytest.mark.parametrize("begun", [b"damaged", IMAGE + b"more", IMAGE, b"x" * len(IMAGE)])
def test_a_beginning_that_does_not_fit_is_thrown_away(publisher: Publisher, home: Home, begun: bytes) -> None:
    url = f"{publisher.url}/disk.qcow2"
    with home.library.lock():
        home.library.part(f"{url}#{CHECKSUM}").write_bytes(begun)

    assert home.fetch(url).path.read_bytes() == IMAGE
    assert home.parts == []


def test_a_wrong_checksum_leaves_nothing(publisher: Publisher, home: Home) -> None:
    with pytest.raises(
        DriverError, match=f"is not what its checksum says: sha512 is {hashlib.sha512(IMAGE).hexdigest()}"
    ):
        home.fetch(f"{publisher.url}/disk.qcow2", "sha512:" + "0" * 128)
    assert (home.library.images(), home.parts) == ([], [])


@pytest.mark.parametrize(
    ("path", "failures", "why"),
    [("/none.qcow2", 0, "the server says 404"), ("/disk.qcow2", 99, "the server says 503")],
)
def test_a_server_that_refuses_is_quoted(publisher: Publisher, home: Home, path: str, failures: int, why: str) -> None:
    publisher.failures = failures
    with pytest.raises(DriverError, match=f"cannot fetch {publisher.url}{path}: {why}") as refused:
        home.fetch(publisher.url + path)
    assert "--libvirt-image /path" in refused.value.hint


def test_nobody_there(home: Home) -> None:
    with pytest.raises(DriverError, match="Connection refused"):
        home.fetch("http://127.0.0.1:1/disk.qcow2")


def test_a_short_failure_is_waited_out(publisher: Publisher, home: Home) -> None:
    publisher.failures = 2
    assert home.fetch(f"{publisher.url}/disk.qcow2").path.read_bytes() == IMAGE


def test_an_official_image_is_held_to_the_publishers_list(
    publisher: Publisher, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {"demo-1": {"x86_64": [f"{publisher.url}/disk.qcow2", "mirror/CHECKSUM"]}}
    monkeypatch.setattr(catalogue, "_entries", lambda: json.loads(json.dumps(entries)))
    digest = CHECKSUM.removeprefix("sha256:")
    publisher.files["/CHECKSUM"] = f"# disk.qcow2: 1 bytes\nSHA256 (disk.qcow2) = {digest}\n".encode()
    assert home.fetch("demo-1", "").name == "demo-1"

    newer = IMAGE + b"\2"
    publisher.files |= {
        "/disk.qcow2": newer,
        "/CHECKSUM": f"{hashlib.sha256(newer).hexdigest()}  disk.qcow2\n".encode(),
    }
    fetched = fetch.obtain(
        "demo-1", checksum="", architecture="x86_64", report=home.told.append, library=home.library, fresh=True
    )
    assert [image.name for image in home.library.images()].count("demo-1") == 1
    assert fetched.path.read_bytes() == newer
    publisher.files["/CHECKSUM"] = b"<html>moved</html>"
    with pytest.raises(DriverError, match=r"does not name disk\.qcow2"):
        fetch.obtain("demo-1", checksum="", architecture="x86_64", report=print, library=home.library, fresh=True)


def test_parts_that_nobody_wants_any_more_are_swept(home: Home) -> None:
    with home.library.lock():
        old, new = home.library.part("old"), home.library.part("new")
        for part in (old, new):
            part.write_bytes(b"x")
        os.utime(old, (0, time.time() - PART_SECONDS - 60))
        home.library.part("other")

    assert home.parts == [new]


def test_what_came_by_https_is_not_looked_for_by_less() -> None:
    handler = download._Secure()
    request = urllib.request.Request("https://example.invalid/CHECKSUM")
    with pytest.raises(DriverError, match="not secured"):
        handler.redirect_request(request, None, 302, "", {}, "http://example.invalid/CHECKSUM")
    assert handler.redirect_request(request, None, 302, "", {}, "https://example.invalid/x") is not None
