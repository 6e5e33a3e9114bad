"""Paths inside a root that is not trusted: nothing the image holds can lead out of it.

``openat2`` with RESOLVE_IN_ROOT lets the kernel resolve links, absolute ones and ``..`` too, as if the root were
already ``/``; so there is no window between a check and its use.
"""

from __future__ import annotations

import os
import stat

from pymachine.engine.runtime import syscalls as sys_

_RESOLVE = sys_.RESOLVE_IN_ROOT | sys_.RESOLVE_NO_MAGICLINKS


def open_path(root: int, path: str) -> int:
    """An O_PATH descriptor of *path* inside *root*; `FileNotFoundError` when there is none."""
    return sys_.openat2(root, path.lstrip("/") or ".", os.O_PATH, _RESOLVE)


def ensure_folder(root: int, path: str, mode: int = 0o755) -> int:
    """The same, making the folder and those above it where they are missing."""
    try:
        return open_path(root, path)
    except FileNotFoundError:
        pass
    parent, name = _open_parent(root, path)
    try:
        os.mkdir(name, mode, dir_fd=parent)
    finally:
        os.close(parent)
    return open_path(root, path)


def ensure_file(root: int, path: str) -> int:
    """The same for an empty file, which a file can be mounted on."""
    try:
        return open_path(root, path)
    except FileNotFoundError:
        pass
    parent, name = _open_parent(root, path)
    try:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=parent))
    finally:
        os.close(parent)
    return open_path(root, path)


def is_folder(fd: int) -> bool:
    """Whether the O_PATH descriptor *fd* is of a folder."""
    return stat.S_ISDIR(os.fstat(fd).st_mode)


def name_of(fd: int) -> str:
    """A path by which calls that know no descriptors reach what *fd* refers to."""
    return f"/proc/self/fd/{fd}"


def _open_parent(root: int, path: str) -> tuple[int, str]:
    head, _, name = path.rstrip("/").rpartition("/")
    return ensure_folder(root, head or "/"), name
