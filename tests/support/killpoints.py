"""Run the program and end it by SIGKILL right before the n-th thing it does to the world.

The points are: every change of the file system (the journal's and the store's among them), every program started,
every connection, and every command on a host over SSH twice, before it is sent and while it runs. Nothing in the
product knows of this: Python's audit events (PEP 578) tell of all but SSH (`support.killed`).
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import killed
from support.program import Program, environment

KILLED = -signal.SIGKILL
MOST = 500
"""Points of one operation; more are a loop."""


@dataclass(frozen=True)
class Attempt:
    """One run that was to be killed."""

    killed: bool
    point: str
    """Where, or the last point that was passed."""
    code: int
    output: str


class Killer:
    """A process that has loaded the program and forks for each run: Python's own start takes longer than most."""

    def __init__(self, python: str, script: str, **options: Any) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pymachine-killed-"))
        self.log = self._folder / "points"
        """The points of the last run."""
        self._output = self._folder / "output"
        for file in (self.log, self._output):
            file.touch()
            os.chown(file, options.get("user", -1), -1)
        self._folder.chmod(0o755)
        self._process = subprocess.Popen(
            [python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
        )

    def run(self, argv: Sequence[str], env: Mapping[str, str], *, timeout: float = 300, **where: Any) -> Attempt:
        """Run the program; *where* it is to be killed is what `support.killed.Countdown` takes."""
        for file in (self.log, self._output):
            file.write_text("")
        files = {"log": str(self.log), "output": str(self._output)}
        code = self._follow({"argv": argv, "env": dict(env), **files, "where": where}, timeout)
        points = self.points()
        text = self._output.read_text(errors="replace")
        return Attempt(code == KILLED, points[-1] if points else "", code, text)

    def points(self) -> list[str]:
        """All points that the last run passed."""
        return self.log.read_text(errors="replace").splitlines()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        for path in (self.log, self._output):
            path.unlink()
        self._folder.rmdir()

    def _follow(self, wanted: dict[str, Any], timeout: float) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        child = int(self._process.stdout.readline())
        late = threading.Event()

        def end() -> None:
            late.set()
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

        timer = threading.Timer(timeout, end)
        timer.start()
        try:
            code = int(self._process.stdout.readline())
        finally:
            timer.cancel()
        assert not late.is_set(), f"{wanted['argv']} has not ended after {timeout} s: {self._output.read_text()}"
        return code


@functools.cache
def killer() -> Killer:
    """For runs of the program as this process's user."""
    made = Killer(sys.executable, killed.__file__, env=environment())
    atexit.register(made.close)
    return made


def attempt(program: Program, number: int, *args: str, only: str = "", seen: Collection[str] | None = None) -> Attempt:
    """Run the program up to point *number* (from 1; 0: to its end) of those whose names begin with *only*, or up to
    the first one that is not among those *seen*."""
    where: dict[str, Any] = {"number": number, "only": only, "seen": None if seen is None else list(seen)}
    return killer().run(["-s", str(program.store), *args], environment(program.env), **where)


def complete(program: Program, *args: str) -> list[str]:
    """Run the program to its end, which must be good; returns the points that it passed."""
    done = attempt(program, 0, *args)
    assert done.code == 0, done
    return killer().points()


def again_and_again(run: Callable[[Collection[str]], Attempt]) -> Iterator[Attempt]:
    """Let *run* do the same again and again until it is not killed, each time up to the first point at which it has
    not been killed yet."""
    seen: set[str] = set()
    while len(seen) < MOST:
        done = run(seen)
        yield done
        if not done.killed:
            return
        seen.add(done.point)
    raise AssertionError(f"there is no end of points: {sorted(seen)}")
