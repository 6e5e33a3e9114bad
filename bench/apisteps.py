"""Where the time of a ``docker run --rm`` goes: the API calls that it makes, each timed without the docker CLI."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.engines import Engine

STEPS = ("create", "start", "until its end is told", "remove")


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def run_once(engine: Engine, network: str) -> dict[str, float]:
    """Seconds of each of `STEPS` for one ``true`` in *network*."""
    connection = _Connection(engine.socket)
    wanted = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": network}}
    moments = [perf_counter()]

    def call(method: str, path: str, body: Any = None) -> Any:
        connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"bench: {engine.name}: {method} {path}: {content.decode().strip()}")
        moments.append(perf_counter())
        return json.loads(content) if content else None

    made = call("POST", "/containers/create", wanted)["Id"]
    call("POST", f"/containers/{made}/start")
    call("POST", f"/containers/{made}/wait")
    call("DELETE", f"/containers/{made}")
    connection.close()
    return {step: after - before for step, before, after in zip(STEPS, moments, moments[1:], strict=False)}
