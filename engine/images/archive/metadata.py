"""Owners, modes, times and extended attributes of unpacked entries."""

from __future__ import annotations

import errno
import logging
import os
import stat
import tarfile
from collections.abc import Iterator

_log = logging.getLogger(__name__)

_XATTR = "SCHILY.xattr."
_ALLOWED = ("user.", "security.capability", "system.posix_acl_access", "system.posix_acl_default")
"""``trusted.`` is the overlay's own: an image may not say where its directories redirect to."""
_REFUSED_BY_KERNEL = (errno.ENOTSUP, errno.EPERM, errno.EINVAL)
_TIME_LIMIT = 2**33
"""Seconds; years beyond 2242 do not fit every file system's inode."""


def xattrs_of(info: tarfile.TarInfo) -> Iterator[tuple[str, bytes]]:
    """The extended attributes of an entry that an image may set."""
    for key, value in info.pax_headers.items():
        name = key.removeprefix(_XATTR)
        if name != key and name.startswith(_ALLOWED):
            yield name, value.encode("utf-8", "surrogateescape")


def time_of(info: tarfile.TarInfo) -> int:
    """The entry's time in nanoseconds since the epoch, from the exact text where there is one."""
    text = info.pax_headers.get("mtime")
    if text:
        whole, _, fraction = text.partition(".")
        try:
            seconds = int(whole)
            nanoseconds = int((fraction + "0" * 9)[:9])
        except ValueError:
            seconds, nanoseconds = 0, 0
        if text.startswith("-"):
            nanoseconds = -nanoseconds
    else:
        seconds, nanoseconds = int(info.mtime), 0
    seconds = max(-_TIME_LIMIT, min(seconds, _TIME_LIMIT))
    return seconds * 10**9 + nanoseconds


def apply_to_file(descriptor: int, info: tarfile.TarInfo) -> None:
    """Everything, to an open regular file, in the order that keeps it: chown takes set-id bits and
    capabilities away (chown(2)), writing changes the time."""
    os.fchown(descriptor, info.uid, info.gid)
    os.fchmod(descriptor, stat.S_IMODE(info.mode))
    for name, value in xattrs_of(info):
        _set_xattr(descriptor, name, value, info.name)
    time = time_of(info)
    os.utime(descriptor, ns=(time, time))


def apply_to_name(folder: int, name: str, info: tarfile.TarInfo, *, timed: bool = True) -> None:
    """The same to *name* in the open directory; a link gets owner and time only."""
    os.chown(name, info.uid, info.gid, dir_fd=folder, follow_symlinks=False)
    if not info.issym():
        # Not a link: this entry has just been made here by us, and nobody else works in this tree.
        os.chmod(name, stat.S_IMODE(info.mode), dir_fd=folder)
        for key, value in xattrs_of(info):
            _set_xattr(f"/proc/self/fd/{folder}/{name}", key, value, info.name)
    if timed:
        time = time_of(info)
        os.utime(name, ns=(time, time), dir_fd=folder, follow_symlinks=False)


def _set_xattr(target: int | str, name: str, value: bytes, entry: str) -> None:
    try:
        if isinstance(target, int):
            os.setxattr(target, name, value)
        else:
            os.setxattr(target, name, value, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _REFUSED_BY_KERNEL:
            raise
        _log.warning("cannot keep %s of %s: %s", name, entry[:200], error.strerror)
