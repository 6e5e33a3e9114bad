"""What a shim leaves in the bundle directory, its working directory: ``pid`` while it runs, ``exit.json`` after.

Both are written beside and renamed, so that nobody reads half a file. ``root`` is where the first process mounts,
in its own mount namespace only.
"""

from __future__ import annotations

import os

EXIT, PID, ROOT, SOCKET = "exit.json", "pid", "root", "shim.sock"


def begin() -> None:
    """Make the bundle ready for a start: no end recorded, a place to mount on."""
    _remove(EXIT)
    try:
        os.mkdir(ROOT, 0o700)
    except FileExistsError:
        pass


def write_pid(pid: int) -> None:
    """Record the first process's pid."""
    _write(PID, f"{pid}\n")


def write_exit(code: int, finished_at: float, *, oom_killed: bool) -> None:
    """Record the end. The time has microseconds, in seconds since the epoch."""
    killed = "true" if oom_killed else "false"
    _write(EXIT, f'{{"code":{code},"finished_at":{finished_at:.6f},"oom_killed":{killed}}}\n')


def forget(*, exited: bool = False) -> None:
    """Remove what tells of a running container, and after a failed start all."""
    for name in (SOCKET, PID):
        _remove(name)
    try:
        os.rmdir(ROOT)
    except OSError:
        pass
    if not exited:
        _remove(EXIT)


def _write(name: str, text: str) -> None:
    fd = os.open(f"{name}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
    os.rename(f"{name}.new", name)


def _remove(name: str) -> None:
    try:
        os.unlink(name)
    except FileNotFoundError:
        pass
