"""The first use of an empty volume: what the image has at that path is copied into it.

Owners, modes, times, extended attributes, hard links and device nodes are kept; links are never followed,
so that nothing in an image can lead the copy elsewhere.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

_CHUNK = 1 << 20
_SKIPPED_ATTRIBUTES = ("trusted.overlay.", "user.overlay.")


def copy_up(volume_path: Path, rootfs_path: Path) -> bool:
    """Copy the directory *rootfs_path* (resolved inside the container's root by the caller) into the empty
    *volume_path*; whether anything was done. Blocks. Raises `OSError`.

    A marker beside the volume's directory is there while copying: a copy that a crash cut short is begun again.
    """
    marker = volume_path.parent / "copying"
    source = os.lstat(rootfs_path) if os.path.lexists(rootfs_path) else None
    if source is None or not stat.S_ISDIR(source.st_mode):
        return False
    if marker.exists():
        _empty(volume_path)
    elif any(os.scandir(volume_path)):
        return False
    marker.touch()
    try:
        _copy_directory(str(rootfs_path), str(volume_path), source, {})
    except BaseException:
        _empty(volume_path)
        marker.unlink()
        raise
    marker.unlink()
    return True


def _empty(folder: Path) -> None:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def _copy_directory(source: str, target: str, status: os.stat_result, seen: dict[tuple[int, int], str]) -> None:
    with os.scandir(source) as entries:
        for entry in entries:
            _copy_entry(entry.path, os.path.join(target, entry.name), seen)
    _copy_attributes(source, target, status)  # last: its times, and a mode that may forbid writing


def _copy_entry(source: str, target: str, seen: dict[tuple[int, int], str]) -> None:
    status = os.lstat(source)
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        os.mkdir(target, 0o700)
        _copy_directory(source, target, status, seen)
        return
    if status.st_nlink > 1:
        identity = (status.st_dev, status.st_ino)
        if identity in seen:
            os.link(seen[identity], target, follow_symlinks=False)
            return
        seen[identity] = target
    if kind == stat.S_IFREG:
        _copy_file(source, target)
    elif kind == stat.S_IFLNK:
        os.symlink(os.readlink(source), target)
    elif kind == stat.S_IFSOCK:
        return  # a socket is nothing without the process that made it
    else:
        os.mknod(target, kind | 0o600, status.st_rdev)
    _copy_attributes(source, target, status)


def _copy_file(source: str, target: str) -> None:
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    reader = os.open(source, os.O_RDONLY | flags)
    try:
        writer = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flags, 0o600)
        try:
            while os.sendfile(writer, reader, None, _CHUNK):
                pass
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def _copy_attributes(source: str, target: str, status: os.stat_result) -> None:
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))  # after chown, which takes set-user-id bits away
    for name in os.listxattr(source, follow_symlinks=False):
        if not name.startswith(_SKIPPED_ATTRIBUTES):
            try:
                value = os.getxattr(source, name, follow_symlinks=False)
                os.setxattr(target, name, value, follow_symlinks=False)
            except OSError:
                pass  # the volume's file system may not keep such attributes
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)
