"""Unpacking an untrusted tar into a directory that is a container's root, or part of one.

tarfile reads the headers (ustar, pax, GNU long names and sparse files); everything that touches the disk is
here, through `Tree`. Owners are numeric, as in the archive; names of users mean nothing outside the image.
"""

from __future__ import annotations

import errno
import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pymachine.engine.images.archive import metadata
from pymachine.engine.images.archive.recipe import RecipeWriter
from pymachine.engine.images.archive.stream import TarStream
from pymachine.engine.images.archive.tree import Tree, clean
from pymachine.engine.images.archive.whiteouts import (
    OPAQUE,
    PREFIX,
    CarryOut,
    KeepWhiteouts,
    Whiteouts,
    hidden_name,
    is_whiteout,
    make_opaque,
)
from pymachine.engine.images.errors import BadArchive, UnsafeArchive

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_IDS = 2**32 - 1
"""(uid_t)-1 means "leave as it is" to chown(2)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Beyond these an archive is refused: sanity, far above any real image."""

    entries: int = 10_000_000
    file_size: int = 1 << 43
    total_size: int = 1 << 44


@dataclass(slots=True)
class Unpacked:
    """What came out."""

    entries: int = 0
    size: int = 0
    """Bytes of file contents."""
    tar_size: int = 0
    """Bytes of the uncompressed archive."""


def unpack(
    pieces: Iterator[bytes],
    root: Path,
    *,
    recipe: RecipeWriter | None = None,
    keep_whiteouts: bool = True,
    limits: Limits | None = None,
) -> Unpacked:
    """Unpack the uncompressed tar *pieces* into *root*, writing its *recipe*.

    Raises `UnsafeArchive` or `BadArchive`, and `OSError` from the disk; what was made until then stays.
    """
    tree = Tree(root)
    try:
        return _Unpacking(tree, recipe, keep_whiteouts, limits or Limits()).run(pieces)
    except BadArchive:
        raise
    except (tarfile.TarError, ValueError, LookupError, OverflowError, RecursionError) as error:
        raise BadArchive(f"not a valid tar archive: {error}") from None
    finally:
        tree.close()


class _Unpacking:
    def __init__(self, tree: Tree, recipe: RecipeWriter | None, keep_whiteouts: bool, limits: Limits) -> None:
        self._tree = tree
        self._recipe = recipe
        self._limits = limits
        self._whiteouts: Whiteouts = KeepWhiteouts() if keep_whiteouts else CarryOut(tree)
        self._keeps_whiteouts = keep_whiteouts
        self._folders: dict[tuple[str, ...], int] = {}
        self._done = Unpacked()
        tree.on_obstacle = self._obstacle

    def run(self, pieces: Iterator[bytes]) -> Unpacked:
        stream = TarStream(pieces, self._recipe.keep if self._recipe else lambda data: None)
        with tarfile.TarFile(fileobj=stream, mode="r", errorlevel=2, ignore_zeros=False) as tar:  # type: ignore[arg-type]
            while (info := tar.next()) is not None:
                vars(tar)["members"] = []  # or they would fill the memory
                self._entry(info, stream)
        stream.finish()
        for parts, time in reversed(self._folders.items()):
            self._set_folder_time(parts, time)
        self._done.tar_size = stream.tell()
        return self._done

    def _entry(self, info: tarfile.TarInfo, stream: TarStream) -> None:
        self._check(info)
        parts = clean(info.name)
        if not parts:
            self._root_entry(info)
            return
        folder, path = self._tree.folder(parts[:-1])
        name = parts[-1]
        if name.startswith(PREFIX):
            self._whiteout(folder, name, path)
            return
        here = f"{path}/{name}" if path else name
        try:
            self._make(info, stream, folder, name, here, parts)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise BadArchive(f"the archive has a name that is too long: {name[:80]!r}…") from None
            raise
        self._whiteouts.brought(here)

    def _check(self, info: tarfile.TarInfo) -> None:
        self._done.entries += 1
        if self._done.entries > self._limits.entries:
            raise BadArchive(f"the archive has more than {self._limits.entries} entries")
        if not 0 <= info.size <= self._limits.file_size:
            raise BadArchive(f"the archive's file {info.name[:200]!r} has an impossible size")
        if not (0 <= info.uid < _IDS and 0 <= info.gid < _IDS):
            raise BadArchive(f"the archive's entry {info.name[:200]!r} has an impossible owner")

    def _root_entry(self, info: tarfile.TarInfo) -> None:
        if not info.isdir():
            raise UnsafeArchive(f"the archive's entry {info.name[:200]!r} would replace its root")
        metadata.apply_to_name(self._tree.fd, ".", info, timed=False)
        self._folders[()] = metadata.time_of(info)

    def _whiteout(self, folder: int, name: str, path: str) -> None:
        if name == OPAQUE:
            self._whiteouts.clear(folder, path)
            return
        hidden = hidden_name(name)
        if hidden is not None:
            self._whiteouts.delete(folder, hidden, f"{path}/{hidden}" if path else hidden)

    def _make(
        self, info: tarfile.TarInfo, stream: TarStream, folder: int, name: str, path: str, parts: tuple[str, ...]
    ) -> None:
        if info.isdir():
            self._directory(folder, name, path)
            metadata.apply_to_name(folder, name, info, timed=False)
            self._folders[parts] = metadata.time_of(info)
        elif info.islnk():
            self._hard_link(info, name, path, parts)
        elif info.isreg() or info.issparse():
            self._file(info, stream, folder, name, path)
        elif info.issym():
            self._make_room(folder, name, path)
            self._symlink(info, folder, name)
        elif info.ischr() or info.isblk() or info.isfifo():
            self._make_room(folder, name, path)
            self._node(info, folder, name)
        else:
            raise BadArchive(f"the archive's entry {info.name[:200]!r} has the unknown type {info.type!r}")

    def _directory(self, folder: int, name: str, path: str) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=folder)
            return
        except FileExistsError:
            pass
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            return
        self._replace_by_directory(folder, name, path, opaque=self._keeps_whiteouts and is_whiteout(status))

    def _replace_by_directory(self, folder: int, name: str, path: str, *, opaque: bool) -> None:
        self._make_room(folder, name, path)
        os.mkdir(name, 0o755, dir_fd=folder)
        if opaque:
            descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            try:
                make_opaque(descriptor)
            finally:
                os.close(descriptor)

    def _obstacle(self, folder: int, name: str, path: str) -> bool:
        """An entry lies below something that is no directory. Only a deletion in the same layer may be there."""
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not (self._keeps_whiteouts and is_whiteout(status)):
            return False
        self._replace_by_directory(folder, name, path, opaque=True)
        return True

    def _make_room(self, folder: int, name: str, path: str) -> None:
        if self._recipe is not None:
            if self._recipe.replaced(path, folder, name):
                return
            for below in self._recipe.below(path) if self._is_directory(folder, name) else ():
                # Both are real paths without links on the way, so this name stays below the folder.
                self._recipe.replaced(below, folder, name + below[len(path) :])
        self._tree.remove(folder, name)

    def _is_directory(self, folder: int, name: str) -> bool:
        try:
            return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return False

    def _file(self, info: tarfile.TarInfo, stream: TarStream, folder: int, name: str, path: str) -> None:
        try:
            descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=folder)
        except FileExistsError:
            self._make_room(folder, name, path)
            descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=folder)
        try:
            self._contents(info, stream, descriptor, path)
            metadata.apply_to_file(descriptor, info)
        finally:
            os.close(descriptor)

    def _contents(self, info: tarfile.TarInfo, stream: TarStream, descriptor: int, path: str) -> None:
        spans = cast("list[tuple[int, int]]", info.sparse) if info.issparse() else [(0, info.size)]
        if self._recipe is not None and info.size:
            self._recipe.start_file(path)
        end = 0
        for offset, size in spans:
            if size == 0:
                continue  # GNU tar fills its tables with these
            if offset < end or size < 0 or offset + size > max(info.size, 0):
                raise BadArchive(f"the archive's sparse file {info.name[:200]!r} contradicts itself")
            end = offset + size
            self._span(info, stream, descriptor, path, offset, size)
        if info.issparse():
            os.ftruncate(descriptor, info.size)

    def _span(
        self, info: tarfile.TarInfo, stream: TarStream, descriptor: int, path: str, offset: int, size: int
    ) -> None:
        self._done.size += size
        if self._done.size > self._limits.total_size:
            raise BadArchive("the archive unpacks to more than this engine accepts")
        if offset:
            os.lseek(descriptor, offset, os.SEEK_SET)
        left = size
        for part in stream.payload(size):
            left -= len(part)
            while part:
                part = part[os.write(descriptor, part) :]
        if left:
            raise BadArchive(f"the archive ends inside {info.name[:200]!r}")
        if self._recipe is not None:
            self._recipe.span(path, offset, size)

    def _hard_link(self, info: tarfile.TarInfo, name: str, path: str, parts: tuple[str, ...]) -> None:
        target = clean(info.linkname)
        if not target:
            raise UnsafeArchive(f"the archive's hard link {info.name[:200]!r} points at its root")
        if target == parts:
            return
        found = self._tree.find(target[:-1])
        if found is None:
            raise self._lacks_target(info)
        source, source_path = os.dup(found[0]), found[1]
        try:
            folder, _ = self._tree.folder(parts[:-1])
            if (f"{source_path}/{target[-1]}" if source_path else target[-1]) == path:
                return
            try:
                os.link(target[-1], name, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
            except FileExistsError:
                self._make_room(folder, name, path)
                os.link(target[-1], name, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
        except (FileNotFoundError, PermissionError):
            raise self._lacks_target(info) from None
        finally:
            os.close(source)

    def _lacks_target(self, info: tarfile.TarInfo) -> BadArchive:
        return BadArchive(
            f"the archive's hard link {info.name[:200]!r} points at {info.linkname[:200]!r}, which is no file in it"
        )

    def _symlink(self, info: tarfile.TarInfo, folder: int, name: str) -> None:
        if not info.linkname or "\0" in info.linkname:
            raise BadArchive(f"the archive's link {info.name[:200]!r} has no target")
        os.symlink(info.linkname, name, dir_fd=folder)
        metadata.apply_to_name(folder, name, info)

    def _node(self, info: tarfile.TarInfo, folder: int, name: str) -> None:
        kind = stat.S_IFCHR if info.ischr() else stat.S_IFBLK if info.isblk() else stat.S_IFIFO
        device = 0
        if not info.isfifo():
            if not (0 <= info.devmajor < 1 << 12 and 0 <= info.devminor < 1 << 20):
                raise BadArchive(f"the archive's device {info.name[:200]!r} has an impossible number")
            device = os.makedev(info.devmajor, info.devminor)
        os.mknod(name, 0o600 | kind, device, dir_fd=folder)
        metadata.apply_to_name(folder, name, info)

    def _set_folder_time(self, parts: tuple[str, ...], time: int) -> None:
        """Now that nothing more changes in it; a later entry may have replaced it by something else."""
        if not parts:
            os.utime(self._tree.fd, ns=(time, time))
            return
        found = self._tree.find(parts[:-1])
        if found is not None and self._is_directory(found[0], parts[-1]):
            os.utime(parts[-1], ns=(time, time), dir_fd=found[0], follow_symlinks=False)
