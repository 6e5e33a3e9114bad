"""Unpacks an archive that a client sends into a directory of a container (cp to a container).

The archive is hostile: each entry's parent is looked up inside the container's root by the kernel
(`pymachine.engine.containers.inroot`), and the entry itself is made new by descriptor, so neither ``..`` nor a
link, in the archive or in the container, leads outside.
"""

from __future__ import annotations

import errno
import os
import posixpath
import shutil
import stat
import tarfile
from typing import IO

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.engine.containers import inroot

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


class TreeReader:
    """Unpacks into *folder*, a path below the open directory *root*."""

    def __init__(self, root: int, folder: str, *, keep_owners: bool, keep_kinds: bool) -> None:
        self._root, self._folder = root, folder
        self._keep_owners, self._keep_kinds = keep_owners, keep_kinds
        self._times: list[tuple[str, tarfile.TarInfo]] = []

    def unpack(self, source: IO[bytes]) -> None:
        """Unpack every entry; raises `InvalidArgument` for a broken archive or a clash of kinds."""
        try:
            with tarfile.open(fileobj=source, mode="r|*") as tar:
                for info in tar:
                    self._take(tar, info)
        except (tarfile.TarError, EOFError) as error:
            raise InvalidArgument(f"the archive is damaged: {error}") from None
        except OSError as error:
            raise InvalidArgument(f"cannot unpack: {error.strerror or error}: {error.filename or ''}") from error
        # Directories' times last: unpacking into them changes them.
        for path, info in reversed(self._times):
            with inroot.opened(self._root, path, _DIRECTORY) as descriptor:
                os.utime(descriptor, (info.mtime, info.mtime))

    def _take(self, tar: tarfile.TarFile, info: tarfile.TarInfo) -> None:
        path = self._inside(info.name)
        parent, name = posixpath.split(path)
        if not name or path == self._folder:
            return  # the directory itself
        with self._parent(parent) as descriptor:
            if info.isdir():
                self._make_directory(descriptor, name, info)
                self._times.append((path, info))
                return
            self._make_way(descriptor, name)
            self._make(tar, info, descriptor, name)

    def _inside(self, name: str) -> str:
        """An entry's path in the container; ``..`` cannot climb above the folder that is unpacked into."""
        clean = posixpath.normpath("/" + name)
        return posixpath.normpath(f"{self._folder}/{clean}")

    def _parent(self, path: str) -> inroot.Opened:
        try:
            return inroot.opened(self._root, path, _DIRECTORY)
        except FileNotFoundError:
            pass
        above, name = posixpath.split(path)
        with self._parent(above) as descriptor:
            os.mkdir(name, 0o755, dir_fd=descriptor)
        return inroot.opened(self._root, path, _DIRECTORY)

    def _make_directory(self, parent: int, name: str, info: tarfile.TarInfo) -> None:
        try:
            os.mkdir(name, info.mode & 0o7777, dir_fd=parent)
        except FileExistsError:
            mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
            if stat.S_ISLNK(mode):
                return  # a link to a directory (/lib to /usr/lib) stays; what follows goes through it
            if not stat.S_ISDIR(mode):
                if self._keep_kinds:
                    raise InvalidArgument(f'cannot overwrite non-directory "{name}" with a directory') from None
                os.unlink(name, dir_fd=parent)
                os.mkdir(name, info.mode & 0o7777, dir_fd=parent)
        self._finish(parent, name, info)

    def _make_way(self, parent: int, name: str) -> None:
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.EISDIR, errno.EPERM):
                raise
            if self._keep_kinds:
                raise InvalidArgument(f'cannot overwrite directory "{name}" with a non-directory') from None
            shutil.rmtree(name, dir_fd=parent)

    def _make(self, tar: tarfile.TarFile, info: tarfile.TarInfo, parent: int, name: str) -> None:
        if info.issym():
            os.symlink(info.linkname, name, dir_fd=parent)
        elif info.islnk():
            above, target = posixpath.split(self._inside(info.linkname))
            with inroot.opened(self._root, above, _DIRECTORY) as folder:
                os.link(target, name, src_dir_fd=folder, dst_dir_fd=parent, follow_symlinks=False)
            return
        elif info.isreg():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            content = tar.extractfile(info)
            with os.fdopen(os.open(name, flags, 0o600, dir_fd=parent), "wb") as file:
                if content is not None:
                    shutil.copyfileobj(content, file, 2**18)
        elif info.isfifo():
            os.mkfifo(name, info.mode & 0o777, dir_fd=parent)
        elif info.ischr() or info.isblk():
            kind = stat.S_IFCHR if info.ischr() else stat.S_IFBLK
            os.mknod(name, kind | info.mode & 0o777, os.makedev(info.devmajor, info.devminor), dir_fd=parent)
        else:
            raise InvalidArgument(f"the archive has an entry of an unknown kind: {info.name}")
        self._finish(parent, name, info)

    def _finish(self, parent: int, name: str, info: tarfile.TarInfo) -> None:
        owner = (info.uid, info.gid) if self._keep_owners else (0, 0)
        os.chown(name, *owner, dir_fd=parent, follow_symlinks=False)
        if info.issym():
            return
        with inroot.opened(parent, name, os.O_PATH | os.O_NOFOLLOW) as descriptor:
            # chmod knows no "do not follow", and works through the descriptor's own name.
            os.chmod(f"/proc/self/fd/{descriptor}", info.mode & 0o7777)
            if not info.isdir():
                os.utime(f"/proc/self/fd/{descriptor}", (info.mtime, info.mtime))
