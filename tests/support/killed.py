"""The program, counting what it is about to do to the world, and ended by SIGKILL right before the n-th of that.

Run as a file it serves `support.killpoints`: one request a line, each done by a fork of this process, which has loaded
the program once for all. It is also copied to where other users run the program, so it imports nothing of the tests.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

FEW = {"os.remove": 100, "os.rmdir": 40, "upper.new": 5, "/sys/fs/cgroup/": 5, "socket.connect": 3}
"""Of what happens many times in a row only every so many-th counts: by event or a part of its name."""
_CHANGING = re.compile(r"[0-9a-f]{8,}|(?<=[-./])(tmp)?[a-z0-9_]{8}(?=/|$)|\d+")
"""Ids, names of temporary files, numbers."""


class Countdown:
    """Counts points; at the last one, or at the first one that was not *seen* before, the process ends.

    Those count whose names begin with *only*, and not with *but*. A point is called by what is about to be done, after
    which step or command (the journal's and SSH's), and for the how many-th time since: so it has the same name in a
    run that goes on where an earlier one was killed.
    """

    def __init__(
        self, log: str, *, number: int = 0, only: str = "", but: str = "\n", seen: Collection[str] | None = None
    ) -> None:
        self._left = number
        self._only, self._but = only, but
        self._seen = seen
        self._after = "the start"
        self._times: Counter[str] = Counter()
        self._commands: Counter[str] = Counter()
        self._command = ""
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND)
        self._many: dict[str, int] = {}

    def point(self, what: str) -> None:
        """One thing is about to be done."""
        self._times[what] += 1
        self._reach(f"{what}, {self._times[what]}. time after {self._after}")

    def step(self, what: str) -> None:
        """The same of what later points are named after."""
        self._commands[what] += 1
        self._reach(f"{what}, {self._commands[what]}. time")
        self._after = what
        self._times.clear()

    def _reach(self, name: str) -> None:
        if not name.startswith(self._only) or name.startswith(self._but):
            return
        os.write(self._log, f"{name}\n".encode(errors="replace"))
        self._left -= 1
        if self._left == 0 or (self._seen is not None and name not in self._seen):
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """The hook for `sys.addaudithook`."""
        name = EVENTS[event](arguments) if event in EVENTS else ""
        if name and "__pycache__" not in name and self._counts(event, name):
            self.point(f"{event} {_CHANGING.sub('#', name)}")

    def _counts(self, event: str, name: str) -> bool:
        for part, few in FEW.items():
            if part in name or (part == event and not name.startswith("/")):
                self._many[part] = self._many.get(part, -1) + 1
                return self._many[part] % few == 0
        return True

    def around(self, execute: Callable[..., Any]) -> Callable[..., Any]:
        """Points before commands over SSH."""

        def counted(session: Any, command: str, *args: Any, **options: Any) -> Any:
            self._command = repr(_CHANGING.sub("#", command[:60]))
            self.step(f"ssh before {self._command}")
            return execute(session, command, *args, **options)

        return counted

    def within(self, converse: Callable[..., Any]) -> Callable[..., Any]:
        """Points while commands run on the host."""

        def counted(*args: Any) -> Any:
            self.step(f"ssh during {self._command}")
            return converse(*args)

        return counted

    def journalled(self, append: Callable[..., Any]) -> Callable[..., Any]:
        """Points before what is written in the journal."""

        def counted(journal: Any, kind: str, step: str, *args: Any) -> Any:
            self.step(f"journal {kind} {step}")
            return append(journal, kind, step, *args)

        return counted


def _opened(arguments: tuple[Any, ...]) -> str:
    """Files opened for writing, but for temporary ones, whose renaming counts, the journal, which is a point by
    itself, and the log."""
    path, _, flags = arguments
    if isinstance(path, int) or not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR):
        return ""
    name = os.fsdecode(path)
    return "" if name == os.devnull or any(part in name for part in PASSED_OVER) else name


def _made(arguments: tuple[Any, ...]) -> str:
    """Directories that are not there yet."""
    path = os.fsdecode(arguments[0])
    return "" if os.path.isdir(path) else path


def _removed(arguments: tuple[Any, ...]) -> str:
    """What is there; names relative to a descriptor are."""
    path, directory = os.fsdecode(arguments[0]), arguments[1]
    return path if directory != -1 or os.path.lexists(path) else ""


PASSED_OVER = ("/.", "journal.jsonl", "provision.log")
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


def count(request: dict[str, Any]) -> None:
    """From now on, in this process."""
    from pymachine.machine.ssh import paramiko_session, streams
    from pymachine.store.journal import FileJournal

    countdown = Countdown(request["log"], **request["where"])
    FileJournal._append = countdown.journalled(FileJournal._append)  # type: ignore[method-assign]
    paramiko_session.ParamikoSession._execute = countdown.around(paramiko_session.ParamikoSession._execute)  # type: ignore[method-assign]
    setattr(paramiko_session, "converse", countdown.within(streams.converse))  # noqa: B010
    sys.addaudithook(countdown.audit)


def watch(plan: str) -> None:
    """The same for a process that knows nothing of it and speaks no SSH, as the file *plan* says."""
    with open(plan, encoding="utf-8") as file:
        request = json.load(file)
    sys.addaudithook(Countdown(request["log"], seen=request["seen"]).audit)


def run(request: dict[str, Any]) -> int:
    """In a fork: become the program as if it had been started for the request alone."""
    from pymachine.machine.cli.app import run as program

    os.setsid()
    os.environ.clear()
    os.environ.update(request["env"])
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    sys.argv = ["pymachine", *request["argv"]]
    count(request)
    return program(request["argv"])


def serve() -> int:
    """Answer each request by the number of the process, then by its exit status. Returns in forks only, or at the
    end of the input."""
    import filelock  # noqa: F401

    import pymachine.drivers.registry
    import pymachine.machine.certs.server
    import pymachine.machine.cli.app
    import pymachine.machine.client
    import pymachine.machine.operations.create
    import pymachine.machine.operations.remove
    import pymachine.machine.ssh.paramiko_session
    import pymachine.provisioners.steps  # noqa: F401
    from pymachine.provisioners.release import build_release

    build_release()
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    while line := requests.readline():
        child = os.fork()
        if child == 0:
            requests.close()
            os.close(answers.fileno())
            return run(json.loads(line))
        answers.write(f"{child}\n")
        answers.flush()
        _, status = os.waitpid(child, 0)
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(serve())
