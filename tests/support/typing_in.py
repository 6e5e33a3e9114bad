"""Somebody types in a real shell on a terminal, and looks at the screen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence

_ESCAPES = re.compile(r"\x1b\[[0-9;?>=]*[a-zA-Z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[=>()][0-9A-Z]?|[\x07\x0f\r]")


class Terminal:
    """A terminal with a program on it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._seen = ""

    def type(self, text: str) -> None:
        """Press keys."""
        self._seen = ""
        os.write(self._descriptor, text.encode())

    def wait_for(self, pattern: str, *, seconds: float = 20) -> str:
        """Everything shown since the last key press, once *pattern* is there."""
        end = time.monotonic() + seconds
        while not re.search(pattern, self._seen):
            left = end - time.monotonic()
            assert left > 0, f"{pattern!r} did not appear; the screen shows {self._seen!r}"
            if select.select([self._descriptor], [], [], min(left, 0.5))[0]:
                self._seen += _ESCAPES.sub("", os.read(self._descriptor, 65536).decode(errors="replace"))
        return self._seen


@contextlib.contextmanager
def on_terminal(argv: Sequence[str], env: Mapping[str, str]) -> Iterator[Terminal]:
    """Run *argv* on a terminal of its own; it is hung up on at the end."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        argv,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**env, "TERM": "xterm"},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # shells with job control want a terminal of theirs
    )
    os.close(theirs)
    try:
        yield Terminal(ours)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        os.close(ours)
