"""The docker CLI in tests: beside the test, under a terminal, and what it says as JSON."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from support.busybox import rootfs_tar
from support.engineprocess import EngineProcess


def environment(engine: EngineProcess) -> dict[str, str]:
    """The CLI's environment: this engine, no configuration of the user's."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(engine.folder),
        "DOCKER_HOST": f"unix://{engine.folder}/docker.sock",
        "TERM": "xterm",
    }


def inspect(engine: EngineProcess, name: str) -> dict[str, Any]:
    """``docker inspect`` of one object."""
    found: dict[str, Any] = json.loads(engine.docker("inspect", name))[0]
    return found


def give_busybox(engine: EngineProcess) -> None:
    """Import busybox into an engine."""
    archive = engine.folder / "busybox.tar"
    archive.write_bytes(rootfs_tar())
    engine.docker("import", str(archive), "busybox:latest")


@contextlib.contextmanager
def beside(engine: EngineProcess, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A docker CLI that runs while the block does; killed at its end if it still runs."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        ["docker", *words], env=environment(engine), stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


class Terminal:
    """A docker CLI under a terminal of its own."""

    def __init__(self, engine: EngineProcess, *words: str) -> None:
        self.output = b""
        self._pid, self._master = pty.fork()
        if self._pid == 0:
            os.execvpe("docker", ["docker", *words], environment(engine))
        self._code: int | None = None

    def send(self, data: bytes) -> None:
        """Type *data*."""
        os.write(self._master, data)

    def expect(self, text: bytes, seconds: float = 15.0) -> None:
        """Read until *text* has been shown (since the last call)."""
        deadline = time.monotonic() + seconds
        while text not in self.output:
            assert time.monotonic() < deadline, f"{text!r} did not come; so far: {self.output!r}"
            if not self._read(0.2) and self._ended():
                break
        assert text in self.output, f"{text!r} did not come: {self.output!r}"
        self.output = self.output.partition(text)[2]

    def wait(self, seconds: float = 15.0) -> int:
        """Its exit code."""
        deadline = time.monotonic() + seconds
        while not self._ended():
            assert time.monotonic() < deadline, f"docker does not end; so far: {self.output!r}"
            self._read(0.05)
        assert self._code is not None
        return self._code

    def resize(self, rows: int, columns: int) -> None:
        """Give the terminal another size."""
        import fcntl
        import struct
        import termios

        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.kill(self._pid, signal.SIGWINCH)

    def close(self) -> None:
        """End it."""
        if not self._ended():
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._master)

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:
            data = b""
        self.output += data
        return bool(data)

    def _ended(self) -> bool:
        if self._code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
                while self._read(0.1):
                    pass
        return self._code is not None


@contextlib.contextmanager
def terminal(engine: EngineProcess, *words: str) -> Iterator[Terminal]:
    """A docker CLI under a terminal, for the block."""
    made = Terminal(engine, *words)
    try:
        yield made
    finally:
        made.close()
