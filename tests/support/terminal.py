"""A program on a terminal of its own, with somebody who types."""

from __future__ import annotations

import os
import pty
import select
import time
from collections.abc import Mapping, Sequence


def converse(
    argv: Sequence[str], env: Mapping[str, str], answers: Sequence[tuple[str, str]], *, timeout: float = 120
) -> tuple[int, str]:
    """Run *argv*; when the first text of an answer is seen, type its second and wait for the next one.

    The exit code, and all that was shown. A program that does not end is killed.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            os.execve(argv[0], list(argv), dict(env))
        finally:
            os._exit(127)
    try:
        shown = _watch(terminal, list(answers), time.monotonic() + timeout)
    finally:
        os.close(terminal)  # hangs up on whoever is still there
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), shown


def _watch(terminal: int, answers: list[tuple[str, str]], end: float) -> str:
    shown, read_to = b"", 0
    while (left := end - time.monotonic()) > 0:
        if not select.select([terminal], [], [], left)[0]:
            break
        try:
            data = os.read(terminal, 65536)
        except OSError:  # how Linux says that nobody has the other end any more
            break
        shown += data
        if answers and (at := shown.find(answers[0][0].encode(), read_to)) >= 0:
            read_to = at + len(answers[0][0])
            os.write(terminal, answers.pop(0)[1].encode() + b"\n")
    return shown.decode(errors="replace")
