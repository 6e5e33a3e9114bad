"""What containers took is given back: mounts, control groups, links, rules, processes, files."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from support.dockercli import eventually
from support.engineprocess import EngineProcess

pytestmark = pytest.mark.root


def _held(engine: EngineProcess) -> dict[str, object]:
    """All that containers of this engine may leave on the host."""
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    links = {path.name for path in Path("/sys/class/net").iterdir() if (path / "master").exists()}
    ours = {link for link in links if Path(f"/sys/class/net/{link}/master").resolve().name == engine.name}
    data, runtime = engine.folder / "data", engine.folder / "exec"
    return {
        "mounts": [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(engine.folder) in line],
        "groups": sorted(str(path) for path in Path("/sys/fs/cgroup").glob(f"*/{engine.name}/*/")),
        "links": ours,
        "rules": sorted(line for line in rules.splitlines() if engine.name in line and line.startswith("-A")),
        "processes": _shims(engine),
        "files": sorted(
            path.name
            for folder in ("containers", "overlay2/containers", "volumes")
            for path in (data / folder).iterdir()
        ),
        "bundles": sorted(path.name for path in (runtime / "containers").glob("*")),
        "namespaces": sorted(path.name for path in (runtime / "netns").glob("*")),
    }


def _shims(engine: EngineProcess) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "comm").read_text().strip() == "pyengine-shim" and str(engine.folder) in str(
                (folder / "cwd").readlink()
            ):
                found.append(folder.name)
        except OSError:
            continue
    return found


def test_nothing_is_left(engine: EngineProcess) -> None:
    engine.docker("run", "--rm", "busybox", "true")  # what is made once for all containers is there now
    eventually(lambda: not any(_held(engine)[kind] for kind in ("links", "groups", "processes", "bundles")))
    before = _held(engine)
    engine.docker("run", "-d", "--name", "a1", "-p", "127.0.0.1::80", "-v", "/vol", "busybox", "sleep", "1000")
    engine.docker("run", "-d", "--rm", "--name", "a2", "--init", "busybox", "sh", "-c", "sleep 1000 & sleep 1000")
    engine.docker("run", "-d", "--name", "a3", "--ipc", "shareable", "--net", "none", "busybox", "sleep", "1000")
    engine.docker("exec", "-d", "a3", "sleep", "1000")
    engine.run("run", "--rm", "busybox", "no-such-program")
    engine.run("run", "--rm", "-p", "127.0.0.1::80", "busybox", "sh", "-c", "exit 3")
    assert _held(engine) != before
    engine.docker("rm", "-fv", "a1", "a2", "a3")
    deadline = time.monotonic() + 10
    while (held := _held(engine)) != before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert held == before
