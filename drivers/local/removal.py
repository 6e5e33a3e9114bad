"""Remove a folder of root's, whatever a machine has put in it, and never anything that is mounted there.

Sources: umount2(2), ioctl_iflags(2).
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path

from pymachine.drivers.local import mounts
from pymachine.machine.errors import DriverError

MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602
IMMUTABLE_OR_APPEND = 0x10 | 0x20


def remove_tree(top: Path, *, last: str = "") -> None:
    """Remove a folder and all in it; fine when there is none. The entry *last* of it outlives all others.

    Mounts below are detached first, since what they show is not ours. Raises `DriverError` when one stays, or
    when something cannot be removed.
    """
    if not os.path.lexists(top):
        return
    detach_mounts(top)
    try:
        _remove(os.path.dirname(top), os.path.basename(top), last)
    except OSError as error:
        raise DriverError(f"cannot remove {error.filename or top}: {error.strerror}") from error


def detach_mounts(top: Path) -> None:
    """Unmount everything at or below a folder in this mount namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    for target in mounts.below(str(top)):
        if libc.umount2(os.fsencode(target), MNT_DETACH | UMOUNT_NOFOLLOW):
            raise DriverError(f"cannot unmount {target}: {os.strerror(ctypes.get_errno())}")
    if left := mounts.below(str(top)):
        raise DriverError(f"{left[0]} is still mounted; nothing in {top} was removed")


def _remove(parent: str, name: str, last: str) -> None:
    handle = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _remove_entry(handle, name, os.stat(name, dir_fd=handle, follow_symlinks=False).st_dev, last)
    finally:
        os.close(handle)


def _remove_entry(parent: int, name: str, device: int, last: str = "") -> None:
    """By descriptors, so that no link can lead out; another device means a mount and ends it all."""
    found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if not stat.S_ISDIR(found.st_mode):
        return _retry(parent, name, lambda: os.unlink(name, dir_fd=parent))
    if found.st_dev != device:
        raise OSError(errno.EXDEV, "another file system is mounted there", name)
    handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        with os.scandir(handle) as entries:
            names = sorted((entry.name for entry in entries), key=lambda entry: entry == last)
        for entry in names:
            _remove_entry(handle, entry, device)
    finally:
        os.close(handle)
    _retry(parent, name, lambda: os.rmdir(name, dir_fd=parent))


def _retry(parent: int, name: str, action: Callable[[], None]) -> None:
    """Files that were made immutable refuse to go, even for root, until the flag is cleared."""
    try:
        action()
    except PermissionError:
        _clear_flags(parent, name)
        action()


def _clear_flags(parent: int, name: str) -> None:
    """Clear immutable and append-only flags of an entry and of the directory it is in."""
    handles = [os.dup(parent)]
    mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        handles.append(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent))
    for handle in handles:
        flags = array.array("l", [0])
        fcntl.ioctl(handle, FS_IOC_GETFLAGS, flags)
        flags[0] &= ~IMMUTABLE_OR_APPEND
        fcntl.ioctl(handle, FS_IOC_SETFLAGS, flags)
        os.close(handle)
