"""Copying a whole tree as it is: owners, modes, times, extended attributes, links, devices.

Blocks are shared where the file system can (``FICLONE``, ioctl_ficlonerange(2)), otherwise copied in the
kernel (copy_file_range(2)).
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

_FICLONE = 0x40049409


def copy_tree(source: str, target: str) -> None:
    """Copy the contents of *source* into the existing directory *target*, and its own attributes too.

    Both must be quiet: nobody else changes them. Links are copied, never followed.
    """
    linked: dict[tuple[int, int], str] = {}
    pending = [(source, target)]
    folders: list[tuple[str, str, os.stat_result]] = []
    while pending:
        here, there = pending.pop()
        folders.append((here, there, os.lstat(here)))
        with os.scandir(here) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                goal = f"{there}/{entry.name}"
                if stat.S_ISDIR(status.st_mode):
                    os.mkdir(goal, 0o700)
                    pending.append((entry.path, goal))
                else:
                    _copy_one(entry.path, goal, status, linked)
    # Folders last and deepest first: filling them changes their times.
    for here, there, status in reversed(folders):
        _copy_attributes(here, there, status)


def _copy_one(source: str, target: str, status: os.stat_result, linked: dict[tuple[int, int], str]) -> None:
    key = (status.st_dev, status.st_ino)
    if status.st_nlink > 1:
        if key in linked:
            os.link(linked[key], target, follow_symlinks=False)
            return
        linked[key] = target
    if stat.S_ISREG(status.st_mode):
        _copy_content(source, target, status.st_size)
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source), target)
    elif stat.S_ISSOCK(status.st_mode):
        return  # a socket without its process is nothing
    else:
        os.mknod(target, stat.S_IFMT(status.st_mode) | 0o600, status.st_rdev)
    _copy_attributes(source, target, status)


def _copy_content(source: str, target: str, size: int) -> None:
    reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.ioctl(writing, _FICLONE, reading)
                return
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS):
                    raise
            left = size
            while left > 0:
                copied = os.copy_file_range(reading, writing, min(left, 2**30))
                if copied == 0:
                    return
                left -= copied
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _copy_attributes(source: str, target: str, status: os.stat_result) -> None:
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))  # after chown, which takes set-id bits away
        for name in os.listxattr(source, follow_symlinks=False):
            os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)
