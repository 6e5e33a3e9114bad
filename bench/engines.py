"""The two engines under test, each started for the benchmark and reached by the real docker CLI."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(__file__).resolve().parent.parent / ".cache" / "tools"


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine."""

    name: str
    socket: Path
    pids: tuple[int, ...]
    """Its long-lived processes at the start (daemon, and what the daemon keeps)."""

    def docker(self, *args: str, stdin: bytes | None = None, check: bool = True) -> str:
        """Run the docker CLI against it; its standard output."""
        command = ["docker", "-H", f"unix://{self.socket}", *args]
        done = subprocess.run(command, input=stdin, capture_output=True, check=False)
        if check and done.returncode != 0:
            raise SystemExit(f"bench: {self.name}: docker {' '.join(args)}: {done.stderr.decode().strip()}")
        return done.stdout.decode().strip()

    def timed(self, *args: str) -> float:
        """Seconds that one docker command takes as a whole process."""
        start = time.perf_counter()
        self.docker(*args)
        return time.perf_counter() - start


_PRIVATE = ("unshare", "--mount", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh")
"""Each engine has mounts, links and firewall rules of its own, which go when it does."""


def _wait_for(socket: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        command = ["docker", "-H", f"unix://{socket}", "version"]
        if socket.exists() and subprocess.run(command, capture_output=True).returncode == 0:
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise SystemExit(f"bench: {process.args!r} did not start:\n{log.read_text()[-2000:]}")


def children(pid: int) -> list[int]:
    """All descendants of a process (proc(5), ``/proc/PID/task/TID/children``)."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += [int(child), *children(int(child))]
    return found


@contextmanager
def _running(name: str, command: list[str], socket: Path, folder: Path, env: dict[str, str]) -> Iterator[Engine]:
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([*_PRIVATE, *command], stdout=output, stderr=output, env=env, start_new_session=True)
    try:
        _wait_for(socket, process, log)
        yield Engine(name, socket, (process.pid, *children(process.pid)))
    finally:
        containers = subprocess.run(
            ["docker", "-H", f"unix://{socket}", "ps", "-aq"], capture_output=True, text=True
        ).stdout.split()
        if containers:
            subprocess.run(["docker", "-H", f"unix://{socket}", "rm", "-f", *containers], capture_output=True)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


@contextmanager
def _no_cgroups_left(name: str) -> Iterator[None]:
    """Removes the empty control groups called *name* that were not there before."""
    before = set(Path("/sys/fs/cgroup").glob(f"*/{name}"))
    try:
        yield
    finally:
        for top in set(Path("/sys/fs/cgroup").glob(f"*/{name}")) - before:
            for folder in sorted((path for path in (top, *top.rglob("*")) if path.is_dir()), reverse=True):
                with suppress(OSError):
                    folder.rmdir()


@contextmanager
def pyengine(folder: Path) -> Iterator[Engine]:
    """Ours, from this checkout, on this computer."""
    socket = folder / "engine.sock"
    config = folder / "engine.json"
    settings = {
        "hosts": [f"unix://{socket}"],
        "data-root": str(folder / "data"),
        "exec-root": str(folder / "exec"),
        "bridge": "bench-ours",
        "bip": "172.30.241.1/24",
        "cgroup-parent": "bench-ours",
    }
    config.write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pymachine.engine.main", "--config-file", str(config)]
    with _no_cgroups_left("bench-ours"), _running("pyengine", command, socket, folder, dict(os.environ)) as engine:
        yield engine


@contextmanager
def dockerd(folder: Path) -> Iterator[Engine]:
    """The peer: Debian's dockerd with its containerd and runc."""
    socket = folder / "docker.sock"
    path = [
        TOOLS / package / place for package in ("docker.io", "containerd", "runc") for place in ("usr/sbin", "usr/bin")
    ]
    if not path[0].exists():
        raise SystemExit("bench: no peer engine here; run: scripts/setup --bench")
    env = {**os.environ, "PATH": ":".join([*map(str, path), os.environ["PATH"], "/usr/sbin:/sbin"])}
    command = [
        str(path[0] / "dockerd"), "-H", f"unix://{socket}", "--data-root", str(folder / "data"),
        "--exec-root", str(folder / "exec"), "--pidfile", str(folder / "pid"), "--bip", "172.30.242.1/24",
        "--cgroup-parent", "bench-theirs",
    ]  # fmt: skip
    with _no_cgroups_left("bench-theirs"), _running("dockerd", command, socket, folder, env) as engine:
        yield engine


@contextmanager
def both() -> Iterator[tuple[Engine, Engine]]:
    """Ours and the peer, each with busybox imported from the same bytes."""
    from support.busybox import rootfs_tar

    with tempfile.TemporaryDirectory(prefix="pymachine-bench-", dir="/var/tmp") as name:
        ours, theirs = Path(name) / "ours", Path(name) / "theirs"
        ours.mkdir()
        theirs.mkdir()
        with pyengine(ours) as first, dockerd(theirs) as second:
            rootfs = rootfs_tar()
            for engine in (first, second):
                engine.docker("import", "--change", 'CMD ["sh"]', "-", "busybox", stdin=rootfs)
            yield first, second
