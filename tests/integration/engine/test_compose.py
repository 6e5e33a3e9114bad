"""docker-compose 1 (Debian's), a client with ways of its own: many filters, networks joined before the start."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from support.dockercli import environment
from support.engineprocess import EngineProcess
from support.waiting import eventually

pytestmark = pytest.mark.root

_PROJECT = """
version: "2.4"
services:
  web:
    image: busybox
    command: sh -c "echo web up; exec nc -ll -p 80 -e echo hello"
    ports: ["127.0.0.1::80"]
    networks: {front: {aliases: [www]}, back: {}}
    volumes: ["data:/data"]
    stop_grace_period: 0s
  client:
    image: busybox
    command: sh -c "until nc www 80 </dev/null; do sleep 0.1; done"
    depends_on: [web]
    networks: [front]
networks: {front: {}, back: {}}
volumes: {data: {}}
"""


def test_a_project(engine: EngineProcess, tmp_path: Path) -> None:
    if shutil.which("docker-compose") is None:
        pytest.skip("no docker-compose here")
    (tmp_path / "docker-compose.yml").write_text(_PROJECT)

    def compose(*words: str) -> str:
        done = subprocess.run(
            ["docker-compose", "-p", "proj", *words], cwd=tmp_path, env=environment(engine), capture_output=True,
            text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr + engine.log
        return done.stdout

    try:
        compose("up", "-d")
        eventually(lambda: "hello" in compose("logs", "--no-color", "client"))
        compose("up", "-d", "--force-recreate", "web")
        compose("stop")
        compose("start")
        assert compose("exec", "-T", "web", "echo", "in").strip() == "in"
    finally:
        compose("down", "-v", "-t", "0")
    assert engine.docker("network", "ls", "-q", "-f", "type=custom") == ""
    assert engine.docker("volume", "ls", "-q") == ""
