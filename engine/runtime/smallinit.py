"""The init that ``docker run --init`` asks for: passes signals on to the program and reaps what it leaves behind.

It is the shim's own Python, forked and never exec'd, so that it shares nearly all its memory with the spawner.
"""

from __future__ import annotations

import os

from pymachine.engine.runtime import capabilities
from pymachine.engine.runtime import syscalls as sys_

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_STOP_SIGNALS = (20, 21, 22)  # SIGTSTP, SIGTTIN, SIGTTOU: would stop the init itself
SIGNALS = tuple(number for number in range(1, 65) if number not in (9, 19, 32, 33))
"""All that can be waited for (32 and 33 are the C library's)."""


def run(child: int) -> NoReturn:  # pragma: no cover - runs in a forked process
    """Be process 1 until *child* ends; exit as it did. `SIGNALS` are blocked already."""
    sys_.set_name("init")
    capabilities.drop_bounding(0)
    capabilities.restrict(capabilities.mask_of(("CAP_KILL",)))
    sys_.prctl(sys_.PR_SET_PDEATHSIG, sys_.SIGKILL)  # with the shim goes the container
    os.chdir("/")
    null = os.open("/dev/null", os.O_RDWR) if os.path.exists("/dev/null") else -1
    for stream in (0, 1, 2):
        if null >= 0:
            os.dup2(null, stream)
    sys_.close_range(3, 2**32 - 1)
    while True:
        number = sys_.sigwait(SIGNALS)
        if number == sys_.SIGCHLD:
            _reap(child)
        elif number not in _STOP_SIGNALS:
            _send(child, number)


def _send(child: int, number: int) -> None:
    try:
        os.kill(child, number)
    except ProcessLookupError:
        pass


def _reap(child: int) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
