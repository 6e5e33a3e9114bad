"""A network namespace with nothing but loopback, for code of this process and the processes that it starts."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """Only the thread that enters it is in it, and what that thread starts (namespaces(7))."""

    def __init__(self) -> None:
        before = _here()
        try:
            _check(_libc.unshare(CLONE_NEWNET))
            self._fd = _here()
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        finally:
            _enter(before)
            os.close(before)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Be in it while the block runs."""
        before = _here()
        _enter(self._fd)
        try:
            yield
        finally:
            _enter(before)
            os.close(before)

    def close(self) -> None:
        """It goes when nobody is in it any more."""
        os.close(self._fd)


def _here() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _enter(fd: int) -> None:
    _check(_libc.setns(fd, CLONE_NEWNET))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
