"""Paths inside a root that is not trusted: nothing the image holds can lead out of it.

``openat2`` with RESOLVE_IN_ROOT lets the kernel resolve links, absolute ones and ``..`` too, as if the root were
already ``/``; so there is no window between a check and its use.
"""

from __future__ import annotations

import errno
import os
import stat

from pymachine.engine.runtime import syscalls as sys_

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_LINKS = 40
_RESOLVE = sys_.RESOLVE_IN_ROOT | sys_.RESOLVE_NO_MAGICLINKS


def open_path(root: int, path: str) -> int:
    """An O_PATH descriptor of *path* inside *root*; `FileNotFoundError` when there is none."""
    return sys_.openat2(root, path.lstrip("/") or ".", os.O_PATH, _RESOLVE)


def ensure_folder(root: int, path: str) -> int:
    """The same, making the folder and those above it where they are missing."""
    return _ensure(root, path, _make_folder, _MOST_LINKS)


def ensure_file(root: int, path: str) -> int:
    """The same for an empty file, which a file can be mounted on."""
    return _ensure(root, path, _make_file, _MOST_LINKS)


def _make_folder(parent: int, name: str) -> None:
    os.mkdir(name, 0o755, dir_fd=parent)


def _make_file(parent: int, name: str) -> None:
    os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=parent))


def _ensure(root: int, path: str, make: Callable[[int, str], None], links: int) -> int:
    try:
        return open_path(root, path)
    except FileNotFoundError:
        pass
    head, _, name = path.rstrip("/").rpartition("/")
    parent = _ensure(root, head or "/", _make_folder, links)
    try:
        if name in (".", ".."):
            return open_path(root, path)  # it was what comes before that was missing
        make(parent, name)
    except FileExistsError:
        # A link whose target is missing, as is usual in images (/var/run): make the target, inside the root too.
        if not links:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path) from None
        target = os.readlink(name, dir_fd=parent)
        return _ensure(root, target if target.startswith("/") else f"{head}/{target}", make, links - 1)
    finally:
        os.close(parent)
    return open_path(root, path)


def is_folder(fd: int) -> bool:
    """Whether the O_PATH descriptor *fd* is of a folder."""
    return stat.S_ISDIR(os.fstat(fd).st_mode)


def name_of(fd: int) -> str:
    """A path by which calls that know no descriptors reach what *fd* refers to."""
    return f"/proc/self/fd/{fd}"
