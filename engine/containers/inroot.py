"""Opens paths inside a container's root file system so that no link can lead out of it.

The kernel does the walk: openat2(2) with ``RESOLVE_IN_ROOT`` (Linux 5.6) treats the root as ``/`` for ``..``
and for absolute links, and has no window in which a process in the container could swap a directory.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_OPENAT2 = 437
"""The system call's number, the same on every architecture (added after they were unified)."""
_IN_ROOT = 0x10
_NO_MAGIC_LINKS = 0x02
_libc = ctypes.CDLL(None, use_errno=True)


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_below(root: int, path: str, flags: int) -> int:
    """Open *path* inside the directory *root* (a descriptor); raises `OSError` with the kernel's reason."""
    how = _How(flags | os.O_CLOEXEC, 0, _IN_ROOT | _NO_MAGIC_LINKS)
    name = os.fsencode(path.lstrip("/") or ".")
    while True:
        descriptor: int = _libc.syscall(_OPENAT2, root, name, ctypes.byref(how), ctypes.sizeof(how))
        if descriptor >= 0:
            return descriptor
        code = ctypes.get_errno()
        # EAGAIN: a rename elsewhere in the tree made the kernel unsure of "..".
        if code not in (errno.EAGAIN, errno.EINTR):
            raise OSError(code, os.strerror(code), path)


class Opened:
    """A descriptor that the end of a ``with`` block closes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> int:
        return self._descriptor

    def __exit__(self, *exception: object) -> None:
        os.close(self._descriptor)


def opened(root: int, path: str, flags: int) -> Opened:
    """`open_below` for the while of a block. The path is opened at once, so its errors come from this call."""
    return Opened(open_below(root, path, flags))


@contextmanager
def top(root: Path | str) -> Iterator[int]:
    """The root directory itself, open for the while of a block."""
    descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def directory(root: Path | str, path: str) -> Iterator[int | None]:
    """The directory *path* inside *root*, or ``None`` when there is no such directory."""
    with top(root) as base:
        try:
            descriptor = open_below(base, path, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            yield None
            return
        try:
            yield descriptor
        finally:
            os.close(descriptor)
