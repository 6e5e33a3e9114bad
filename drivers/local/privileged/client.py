"""Start the helper by sudo(8), and call it. One helper serves the whole process, so a password is asked for once.

sudo is tried without a password first; then it asks on the terminal itself, in whatever way this computer has for that.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from pymachine.drivers.local.privileged.wire import PROTOCOL, decode, encode, error_from_json
from pymachine.machine.errors import DriverError, MissingRequirement
from pymachine.machine.terminal import borrowed, has_terminal

MODULE = "pymachine.drivers.local.privileged.helper"
QUIET_SECONDS = 60.0
"""For sudo to start the helper, when nobody is asked."""
WANTS_PASSWORD = ("password", "terminal", "authentication")
"""What sudo, or sudo-rs, says of a password that it may not ask for (sudo(8), ``-n``)."""

Serve = Callable[[dict[str, Any]], None]
"""Takes what the helper tells and asks; an error in it ends the call."""


def command() -> list[str]:
    """The helper's command line, without arguments, so that a line of sudoers can name it whole.

    ``-I``: neither the environment nor the working directory decides which code root runs.
    """
    return [sys.executable, "-I", "-m", MODULE]


def call(request: dict[str, Any], serve: Serve) -> str:
    """Let the helper do one operation. Raises what it raises, or `MissingRequirement` when sudo does not let us."""
    return _connected().call(request, serve)


@dataclass(slots=True)
class _Open:
    """A call in progress."""

    messages: queue.SimpleQueue[dict[str, Any] | None] = field(default_factory=queue.SimpleQueue)
    """``None``: the helper has ended."""


class Connection:
    """A helper that runs."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._input, self._output = process.stdin, process.stdout
        self._sending = threading.Lock()
        self._numbers = itertools.count(1)
        self._calls: dict[int, _Open] = {}
        self.ended = False
        self.process_id = os.getpid()
        """Whose it is: a forked process has no thread that would read."""
        threading.Thread(target=self._read, daemon=True).start()

    def call(self, request: dict[str, Any], serve: Serve) -> str:
        """One operation; whatever interrupts it ends the helper, as it would have ended the operation itself."""
        number, opened = next(self._numbers), _Open()
        self._calls[number] = opened
        try:
            return self._follow(number, opened, request, serve)
        except (KeyboardInterrupt, SystemExit):
            self.close()
            raise
        finally:
            del self._calls[number]

    def close(self) -> None:
        """End the helper, with all that it is doing."""
        self.ended = True
        with contextlib.suppress(OSError), self._sending:
            self._input.close()

    def _follow(self, number: int, opened: _Open, request: dict[str, Any], serve: Serve) -> str:
        problem: Exception | None = None
        self._send({"call": number, **request})
        while True:
            message = opened.messages.get() if not self.ended else None
            if message is None:
                raise DriverError("the privileged helper has ended", hint="run the command again")
            if "done" in message:
                return str(message["done"])
            if "error" in message:
                raise problem or error_from_json(message["error"])
            try:
                serve(message)
            except Exception as error:
                problem = error
            if "ask" in message:
                self._send({"call": number, "answer": str(problem) or "refused" if problem else ""})

    def _send(self, message: dict[str, Any]) -> None:
        try:
            with self._sending:
                self._input.write(encode(message))
                self._input.flush()
        except (OSError, ValueError):  # ValueError: it is closed
            self.ended = True

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while line := self._output.readline():
                message = decode(line)
                opened = self._calls.get(message.get("call", 0))
                if opened is not None:
                    opened.messages.put(message)
        self.ended = True
        for opened in list(self._calls.values()):
            opened.messages.put(None)
        self._process.wait()


_STARTING = threading.Lock()
_current: Connection | None = None


def _connected() -> Connection:
    global _current
    with _STARTING:
        if _current is None or _current.ended or _current.process_id != os.getpid():
            _current = Connection(_start())
        return _current


def _start() -> subprocess.Popen[bytes]:
    sudo = shutil.which("sudo")
    if sudo is None:
        raise MissingRequirement("local machines need root, and sudo is not installed", hint="run the command as root")
    with tempfile.TemporaryFile() as said:
        process = _greeted([sudo, "-n", "--", *command()], said, seconds=QUIET_SECONDS)
        if process is not None:
            return process
        said.seek(0)
        reason = said.read().decode(errors="replace").strip()
    if not any(word in reason for word in WANTS_PASSWORD):
        raise _refused(reason)
    if "SUDO_ASKPASS" in os.environ and not has_terminal():
        process = _greeted([sudo, "-A", "--", *command()], None)
    elif has_terminal():
        process = _on_terminal(sudo)
    else:
        raise MissingRequirement(
            "local machines need root: sudo wants a password, and there is no terminal to ask for it",
            hint=f"run the command on a terminal, or let an administrator allow it: {_rule()}",
        )
    if process is None:
        raise _refused("")
    return process


def _on_terminal(sudo: str) -> subprocess.Popen[bytes] | None:
    with borrowed():
        return _greeted([sudo, "-p", "[sudo] password for %u, for local machines: ", "--", *command()], None)


def _greeted(argv: list[str], errors: IO[bytes] | None, *, seconds: float = 0) -> subprocess.Popen[bytes] | None:
    """Start the helper; ``None`` when it ends before it has greeted us. *seconds*: how long it may take, 0 for ever."""
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, "LC_ALL": "C"},
        cwd="/",
    )
    assert process.stdout is not None
    with _killed_after(process, seconds):
        line = process.stdout.readline()
    with contextlib.suppress(ValueError):
        if decode(line).get("hello") == PROTOCOL:
            return process
    process.communicate()
    return None


@contextlib.contextmanager
def _killed_after(process: subprocess.Popen[bytes], seconds: float) -> Iterator[None]:
    timer = threading.Timer(seconds, process.terminate)
    timer.daemon = True
    if seconds:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _refused(reason: str) -> MissingRequirement:
    last = reason.splitlines()[-1].removeprefix("sudo: ") if reason else "see above"
    return MissingRequirement(
        f"local machines need root, and sudo does not start pymachine's helper: {last}",
        hint=f"run the command as root, or let an administrator allow it: {_rule()}",
    )


def _rule() -> str:
    """The line of sudoers(5) that lets the user in."""
    return f"{os.environ.get('USER') or 'USER'} ALL=(root) NOPASSWD: {shlex.join(command())}"
