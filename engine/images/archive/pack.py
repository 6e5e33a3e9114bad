"""What a container changed, as a layer's tar (OCI image specification, layer.md).

The tree may belong to a running container: names are resolved one at a time without following links, so that
nothing of the host gets into the tar, and a file that changes meanwhile keeps the length it had.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pymachine.dockerapi.errors import EngineError
from pymachine.engine.images.archive.whiteouts import OPAQUE, OPAQUE_XATTR, PREFIX, is_whiteout
from pymachine.engine.storage import mountpoints

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PIECE = 1 << 20
_KEPT = ("user.", "security.capability")
_REDIRECT = "trusted.overlay.redirect"


@dataclass(slots=True)
class _Level:
    """One open directory on the way down, and the one below it to compare with (-1 for none)."""

    fd: int
    base: int
    path: str
    names: Iterator[str]
    head: bytes
    """Its own entry, until something in it is written."""


def pack(tree: Path, base: Path | None = None) -> Iterator[bytes]:
    """The tar of an overlay's upper directory *tree*, or of what *tree* has other than its copy's source *base*.

    Raises `EngineError` for what cannot be said in a layer, and `OSError`.
    """
    packing = _Packing()
    base_fd = os.open(base, _FOLDER) if base is not None else -1
    levels = [packing.level(os.open(tree, _FOLDER), base_fd, "", b"")]
    try:
        while levels:
            here = levels[-1]
            name = next(here.names, None)
            if name is None:
                _close(levels.pop())
                continue
            for piece in packing.entry(here, name, levels):
                if piece:
                    yield from _heads(levels[: levels.index(here) + 1])
                    yield piece
        yield b"\0" * (2 * tarfile.BLOCKSIZE)
    finally:
        for level in levels:
            _close(level)


def _heads(levels: list[_Level]) -> Iterator[bytes]:
    for level in levels:
        if level.head:
            head, level.head = level.head, b""
            yield head


def _close(level: _Level) -> None:
    os.close(level.fd)
    if level.base >= 0:
        os.close(level.base)


class _Packing:
    def __init__(self) -> None:
        self._linked: dict[tuple[int, int], str] = {}

    def level(self, fd: int, base: int, path: str, head: bytes) -> _Level:
        names = set(os.listdir(fd))
        if base >= 0:
            names.update(os.listdir(base))
        return _Level(fd, base, path, iter(sorted(names)), head)

    def entry(self, here: _Level, name: str, levels: list[_Level]) -> Iterator[bytes]:
        """The pieces of one entry; a directory's contents follow as a new level."""
        path = f"{here.path}{name}"
        status, before = _stat(here.fd, name), _stat(here.base, name)
        if status is None:
            yield self._whiteout(here.path, name) if before is not None else b""
        elif is_whiteout(status) and here.base < 0:
            yield self._whiteout(here.path, name)
        elif before is None and _is_mount_point(here.fd, name, path, status):
            return
        elif stat.S_ISDIR(status.st_mode):
            yield from self._directory(here, name, path, status, before, levels)
        elif before is None or not _same(status, before):
            yield from self._other(here, name, path, status)

    def _whiteout(self, folder: str, name: str) -> bytes:
        return _header(tarfile.TarInfo(f"{folder}{PREFIX}{name}"))

    def _directory(
        self,
        here: _Level,
        name: str,
        path: str,
        status: os.stat_result,
        before: os.stat_result | None,
        levels: list[_Level],
    ) -> Iterator[bytes]:
        try:
            fd = os.open(name, _FOLDER, dir_fd=here.fd)
        except OSError:
            return  # replaced by something else just now
        was = before is not None and stat.S_ISDIR(before.st_mode)
        base = os.open(name, _FOLDER, dir_fd=here.base) if was else -1
        info = _describe(path, status)
        info.type = tarfile.DIRTYPE
        attributes = os.listxattr(fd)
        _add_xattrs(info, fd, attributes)
        head = _header(info)
        level = self.level(fd, base, f"{path}/", head)
        levels.append(level)
        if _REDIRECT in attributes:
            raise EngineError(f"the directory {path} was renamed in a way that a layer cannot express")
        if before is None or not was or not _same(status, before):
            level.head = b""
            yield head
        if OPAQUE_XATTR in attributes and here.base < 0:
            yield _header(tarfile.TarInfo(f"{path}/{OPAQUE}"))

    def _other(self, here: _Level, name: str, path: str, status: os.stat_result) -> Iterator[bytes]:
        if stat.S_ISSOCK(status.st_mode):
            return
        info = _describe(path, status)
        key = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and key in self._linked:
            info.type, info.linkname = tarfile.LNKTYPE, self._linked[key]
            yield _header(info)
            return
        self._linked[key] = path
        if stat.S_ISREG(status.st_mode):
            yield from self._file(here, name, info)
            return
        if stat.S_ISLNK(status.st_mode):
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(name, dir_fd=here.fd)
        elif stat.S_ISFIFO(status.st_mode):
            info.type = tarfile.FIFOTYPE
        else:
            info.type = tarfile.CHRTYPE if stat.S_ISCHR(status.st_mode) else tarfile.BLKTYPE
            info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
        yield _header(info)

    def _file(self, here: _Level, name: str, info: tarfile.TarInfo) -> Iterator[bytes]:
        try:
            fd = os.open(name, _FILE, dir_fd=here.fd)
        except OSError:
            return  # gone, or something else by now
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return
            info.size = left = status.st_size
            _add_xattrs(info, fd, os.listxattr(fd))
            yield _header(info)
            while left > 0:
                piece = os.read(fd, min(left, _PIECE)) or b"\0" * min(left, _PIECE)
                left -= len(piece)
                yield piece
            yield b"\0" * (-info.size % tarfile.BLOCKSIZE)
        finally:
            os.close(fd)


def _is_mount_point(folder: int, name: str, path: str, status: os.stat_result) -> bool:
    if not stat.S_ISDIR(status.st_mode):
        return mountpoints.is_made(path, status.st_mode, status.st_size)
    if not mountpoints.is_made(path, status.st_mode, 0):
        return False
    fd = os.open(name, _FOLDER, dir_fd=folder)
    try:
        return not os.listdir(fd)
    finally:
        os.close(fd)


def _stat(folder: int, name: str) -> os.stat_result | None:
    if folder < 0:
        return None
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    fields = ("st_mode", "st_uid", "st_gid", "st_rdev", "st_mtime_ns")
    sized = stat.S_ISDIR(one.st_mode) or one.st_size == other.st_size
    return sized and all(getattr(one, name) == getattr(other, name) for name in fields)


def _describe(path: str, status: os.stat_result) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    info.mode, info.uid, info.gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
    info.mtime, nanoseconds = divmod(status.st_mtime_ns, 10**9)
    if nanoseconds:
        info.pax_headers = {"mtime": f"{info.mtime}.{nanoseconds:09d}"}
    return info


def _add_xattrs(info: tarfile.TarInfo, fd: int, names: list[str]) -> None:
    for name in names:
        if name.startswith(_KEPT):
            value = os.getxattr(fd, name).decode("utf-8", "surrogateescape")
            info.pax_headers = {**info.pax_headers, f"SCHILY.xattr.{name}": value}


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
