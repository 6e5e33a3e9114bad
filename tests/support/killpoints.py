"""Run the program and end it by SIGKILL right before the n-th thing it does to the world.

Run as a file: ``killpoints.py N LOG ONLY ARGUMENT…``. The points are: every change of the file system (the journal's
and the store's among them), every program started, every connection, and every command on a host over SSH twice,
before it is sent and while it runs. Those count whose names begin with ONLY. LOG gets the name of each; the last line
is where the process was killed. N of 0 never kills. Nothing in the product knows of this: Python's audit events
(PEP 578) tell of all but SSH.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.program import Program, environment

KILLED = -signal.SIGKILL
FACTS = 2
"""Points of the question that every provisioning begins with."""
FEW = {"os.remove": 20, "os.rmdir": 10, "upper.new": 5, "/sys/fs/cgroup/": 5, "socket.connect": 3}
"""Of what happens many times in a row only every so many-th counts: by event or a part of its name."""


@dataclass(frozen=True)
class Attempt:
    """One run that was to be killed."""

    killed: bool
    point: str
    """Where, or the last point that was passed."""
    code: int
    output: str


def attempt(program: Program, number: int, *args: str, log: Path, only: str = "", timeout: float = 120) -> Attempt:
    """Run the program up to point *number* (from 1) of those whose names begin with *only*."""
    log.write_text("")
    argv = [sys.executable, __file__, str(number), str(log), only, "-s", str(program.store), *args]
    paths = [str(Path(__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = environment({**program.env, "PYTHONPATH": os.pathsep.join(paths)})
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, timeout=timeout)
    points = log.read_text().splitlines()
    return Attempt(done.returncode == KILLED, points[-1] if points else "", done.returncode, done.stdout + done.stderr)


def again_and_again(
    program: Program, *args: str, log: Path, stride: int = 1, on_host: str = "ssh"
) -> Iterator[Attempt]:
    """The same command until it lives, each time killed *stride* points later; *on_host*, at each such point in turn.

    What was done on a host is not done again, so there the number stays about the same while the points go on.
    """
    number, only = 1, ""
    seen: set[str] = set()
    while True:
        done = attempt(program, number, *args, log=log, only=only)
        yield done
        if not done.killed:
            return
        if not only and done.point.startswith("ssh"):
            number, only = FACTS, on_host
        elif not only:
            number += stride
        elif done.point in seen:
            number += 1
        else:
            number = max(number - 1, FACTS)
        seen.add(done.point)


class Countdown:
    """Counts points; at the last one the process ends."""

    def __init__(self, number: int, log: Path, only: str) -> None:
        self._left = number
        self._only = only
        self._command = ""
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND)
        self._many: dict[str, int] = {}

    def point(self, name: str) -> None:
        """One thing is about to be done."""
        if not name.startswith(self._only):
            return
        os.write(self._log, f"{name}\n".encode(errors="replace"))
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """The hook for `sys.addaudithook`."""
        if event in EVENTS and (name := EVENTS[event](arguments)) and self._counts(event, name):
            self.point(f"{event} {name}")

    def _counts(self, event: str, name: str) -> bool:
        for part, few in FEW.items():
            if part in name or (part == event and not name.startswith("/")):
                self._many[part] = self._many.get(part, -1) + 1
                return self._many[part] % few == 0
        return True

    def around(self, execute: Callable[..., Any]) -> Callable[..., Any]:
        """Points before commands over SSH."""

        def counted(session: Any, command: str, *args: Any, **options: Any) -> Any:
            self._command = repr(command[:60])
            self.point(f"ssh before {self._command}")
            return execute(session, command, *args, **options)

        return counted

    def within(self, converse: Callable[..., Any]) -> Callable[..., Any]:
        """Points while commands run on the host."""

        def counted(*args: Any) -> Any:
            self.point(f"ssh during {self._command}")
            return converse(*args)

        return counted


def _opened(arguments: tuple[Any, ...]) -> str:
    """Files opened for writing, but for temporary ones, whose renaming counts, and the log."""
    path, _, flags = arguments
    if isinstance(path, int) or not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR):
        return ""
    name = os.fsdecode(path)
    passed_over = "__pycache__" in name or "/." in name or name == os.devnull or name.endswith("provision.log")
    return "" if passed_over else name


def _made(arguments: tuple[Any, ...]) -> str:
    """Directories that are not there yet."""
    path = os.fsdecode(arguments[0])
    return "" if os.path.isdir(path) else path


def _removed(arguments: tuple[Any, ...]) -> str:
    """What is there; names relative to a descriptor are."""
    path, directory = os.fsdecode(arguments[0]), arguments[1]
    return path if directory != -1 or os.path.lexists(path) else ""


EVENTS: dict[str, Callable[[tuple[Any, ...]], str]] = {
    "open": _opened,
    "os.mkdir": _made,
    "os.remove": _removed,
    "os.rmdir": _removed,
    "os.rename": lambda arguments: os.fsdecode(arguments[1]),
    "os.link": lambda arguments: os.fsdecode(arguments[1]),
    "os.symlink": lambda arguments: os.fsdecode(arguments[1]),
    "subprocess.Popen": lambda arguments: " ".join(map(os.fsdecode, arguments[1]))[:100],
    "socket.connect": lambda arguments: str(arguments[1]),
}


def main() -> int:
    """Count, and run the program."""
    from pymachine.machine.cli.app import run
    from pymachine.machine.ssh import paramiko_session, streams

    countdown = Countdown(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    paramiko_session.ParamikoSession._execute = countdown.around(paramiko_session.ParamikoSession._execute)  # type: ignore[method-assign]
    setattr(paramiko_session, "converse", countdown.within(streams.converse))  # noqa: B010
    sys.addaudithook(countdown.audit)
    return run(sys.argv[4:])


if __name__ == "__main__":
    sys.exit(main())
