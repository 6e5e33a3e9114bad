"""Writes part of a container's file system as a tar archive (cp from a container, export).

Everything is opened relative to directories that are held open, and no link is followed, so a process in the
container that moves things meanwhile can neither lead the walk outside nor make it loop.
"""

from __future__ import annotations

import os
import stat
import tarfile
from typing import IO

_SKIPPED = (stat.S_IFSOCK,)
"""Kinds that tar has no entry for."""


class TreeWriter:
    """Adds files and trees to one archive; hard links within it stay links."""

    def __init__(self, output: IO[bytes]) -> None:
        self._tar = tarfile.open(fileobj=output, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - see `close`
        self._seen: dict[tuple[int, int], str] = {}

    def close(self) -> None:
        """Write the archive's end."""
        self._tar.close()

    def add(self, parent: int, entry: str, name: str) -> None:
        """Add *entry* of the directory *parent* (a descriptor) as *name*, with all below it."""
        status = os.stat(entry, dir_fd=parent, follow_symlinks=False)
        if stat.S_IFMT(status.st_mode) in _SKIPPED:
            return
        info = _info(name, status)
        if stat.S_ISLNK(status.st_mode):
            info.linkname = os.readlink(entry, dir_fd=parent)
        if stat.S_ISREG(status.st_mode):
            self._add_file(parent, entry, info, status)
            return
        self._tar.addfile(info)
        if stat.S_ISDIR(status.st_mode):
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(entry, flags, dir_fd=parent)
            try:
                self.add_contents(descriptor, name, status.st_dev)
            finally:
                os.close(descriptor)

    def add_contents(self, directory: int, name: str, device: int) -> None:
        """Add all that is in *directory*, except what other file systems are mounted on."""
        for entry in sorted(os.listdir(directory)):
            try:
                other = os.stat(entry, dir_fd=directory, follow_symlinks=False).st_dev != device
                if not other:
                    self.add(directory, entry, f"{name}/{entry}" if name else entry)
            except FileNotFoundError:
                continue  # it went while we walked

    def _add_file(self, parent: int, entry: str, info: tarfile.TarInfo, status: os.stat_result) -> None:
        key = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and key in self._seen:
            info.type, info.linkname, info.size = tarfile.LNKTYPE, self._seen[key], 0
            self._tar.addfile(info)
            return
        descriptor = os.open(entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        with os.fdopen(descriptor, "rb") as file:
            info.size = os.fstat(descriptor).st_size
            self._tar.addfile(info, _Exactly(file, info.size))  # type: ignore[arg-type]
        if status.st_nlink > 1:
            self._seen[key] = info.name


class _Exactly:
    """A file that yields exactly *size* bytes: one that shrinks while it is read is padded with zeros."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int) -> bytes:
        size = min(size, self._left)
        data = self._file.read(size)
        self._left -= size
        return data + bytes(size - len(data))


def _info(name: str, status: os.stat_result) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mode, info.uid, info.gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
    info.mtime = int(status.st_mtime)
    info.type = _TYPES.get(stat.S_IFMT(status.st_mode), tarfile.REGTYPE)
    if info.type in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    return info


_TYPES = {
    stat.S_IFDIR: tarfile.DIRTYPE, stat.S_IFLNK: tarfile.SYMTYPE, stat.S_IFIFO: tarfile.FIFOTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE, stat.S_IFBLK: tarfile.BLKTYPE,
}  # fmt: skip
