"""Our templates beside Go's: the docker command evaluates the same ones over the same data."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from support.gotemplates import CASES, STATUS
from support.serving import always, serving

SEPARATOR = "\n=====\n"
NEWER = {"else with": "{{if .No}}{{else with .No}}{{end}}", "range 3": "{{range 3}}{{end}}"}
"""What came with Go 1.23 and 1.22, and so is not in each docker command; with a template that needs it."""


class Server(ThreadingHTTPServer):
    """On a unix socket."""

    address_family = socket.AF_UNIX
    daemon_threads = True

    def server_bind(self) -> None:
        self.socket.bind(str(self.server_address))
        self.server_name, self.server_port = "engine", 0

    def get_request(self) -> tuple[socket.socket, str]:
        return self.socket.accept()[0], ""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[str]:
    """An engine with one volume, whose ``Status`` may be any JSON."""
    volume = json.dumps({"Name": "v", "Status": STATUS}).encode()
    with serving(Server(str(tmp_path / "e.sock"), always(volume))):  # type: ignore[arg-type]
        yield f"unix://{tmp_path}/e.sock"


@pytest.mark.skipif(shutil.which("docker") is None, reason="needs the docker command")
def test_the_docker_command_prints_the_same(engine: str) -> None:
    unknown = [words for words, template in NEWER.items() if shown(engine, template).returncode]
    known = [case for case in CASES if not any(words in case[0] for words in unknown)]
    done = shown(engine, SEPARATOR.join(f"{{{{with .Status}}}}{source}{{{{end}}}}" for source, _ in known))

    assert done.returncode == 0, done.stderr
    printed = done.stdout.removesuffix("\n").split(SEPARATOR)
    differences = {
        source: (ours, theirs) for (source, ours), theirs in zip(known, printed, strict=True) if ours != theirs
    }
    assert differences == {}


def shown(engine: str, template: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", "-H", engine, "volume", "inspect", "-f", template, "v"], capture_output=True, text=True, timeout=60
    )
