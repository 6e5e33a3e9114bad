"""What containers took is given back: mounts, control groups, links, rules, processes, files."""

from __future__ import annotations

import time

import pytest

from support.engineprocess import EngineProcess
from support.enginetraces import held
from support.waiting import eventually

pytestmark = pytest.mark.root


def test_nothing_is_left(engine: EngineProcess) -> None:
    engine.docker("run", "--rm", "busybox", "true")  # what is made once for all containers is there now
    eventually(lambda: not any(held(engine)[kind] for kind in ("links", "groups", "processes", "bundles")))
    before = held(engine)
    engine.docker("run", "-d", "--name", "a1", "-p", "127.0.0.1::80", "-v", "/vol", "busybox", "sleep", "1000")
    engine.docker("run", "-d", "--rm", "--name", "a2", "--init", "busybox", "sh", "-c", "sleep 1000 & sleep 1000")
    engine.docker("run", "-d", "--name", "a3", "--ipc", "shareable", "--net", "none", "busybox", "sleep", "1000")
    engine.docker("exec", "-d", "a3", "sleep", "1000")
    engine.run("run", "--rm", "busybox", "no-such-program")
    engine.run("run", "--rm", "-p", "127.0.0.1::80", "busybox", "sh", "-c", "exit 3")
    assert held(engine) != before
    engine.docker("rm", "-fv", "a1", "a2", "a3")
    deadline = time.monotonic() + 10
    while (left := held(engine)) != before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == before
