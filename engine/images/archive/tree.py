"""A directory tree that nothing given by name can leave.

Every name is resolved one component at a time from the root's own descriptor. Symbolic links on the way are
followed as a process with that root would see them (chroot(2)): absolute targets and ``..`` end at the root.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections import deque
from collections.abc import Callable
from pathlib import Path

from pymachine.engine.images.errors import BadArchive, UnsafeArchive

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LINKS = 40
"""Links followed for one name, as in the kernel (path_resolution(7))."""


def clean(name: str) -> tuple[str, ...]:
    """The components of an archive's *name*; ``()`` is the root. Raises `UnsafeArchive` if it would leave."""
    if "\0" in name:
        raise UnsafeArchive("the archive has a name with a NUL byte")
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if not parts:
                raise UnsafeArchive(f"the archive's entry {name[:200]!r} would leave its root")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return tuple(parts)


class Tree:
    """An open root. Not for several threads."""

    def __init__(self, root: Path) -> None:
        self.fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._last: tuple[tuple[str, ...], int, str] | None = None
        self._stale: list[int] = []
        self.on_obstacle: Callable[[int, str, str], bool] = lambda folder, name, path: False
        """Asked when something that is neither directory nor link is on the way: make it a directory?"""

    def close(self) -> None:
        self.forget()
        self._close_stale()
        os.close(self.fd)

    def forget(self) -> None:
        """Call after removing or replacing a directory or link: what was resolved may be otherwise now."""
        if self._last is not None:
            self._stale.append(self._last[1])  # the caller may still be working in it
            self._last = None

    def folder(self, parts: tuple[str, ...]) -> tuple[int, str]:
        """The directory *parts*, made where missing: its descriptor (good until the next call) and its real
        path below the root, ``""`` for the root itself."""
        return self._resolve(parts, make=True)

    def find(self, parts: tuple[str, ...]) -> tuple[int, str] | None:
        """The same, making nothing; ``None`` when there is no such directory."""
        try:
            return self._resolve(parts, make=False)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def remove(self, folder: int, name: str) -> None:
        """Remove *name*, whatever it is, from the open directory; fine when absent."""
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(status.st_mode):
            shutil.rmtree(name, dir_fd=folder)
            self.forget_unless(folder)
            return
        os.unlink(name, dir_fd=folder)
        if stat.S_ISLNK(status.st_mode):
            self.forget_unless(folder)

    def forget_unless(self, folder: int) -> None:
        """`forget`, unless what changed lies in the directory that is remembered: that is not on its own way."""
        if self._last is not None and self._last[1] != folder:
            self.forget()

    def _resolve(self, parts: tuple[str, ...], *, make: bool) -> tuple[int, str]:
        if self._last is not None and self._last[0] == parts:
            return self._last[1], self._last[2]
        self._close_stale()
        descriptor, path = self._walk(parts, make)
        self.forget()
        self._last = (parts, descriptor, path)
        return descriptor, path

    def _close_stale(self) -> None:
        while self._stale:
            os.close(self._stale.pop())

    def _walk(self, parts: tuple[str, ...], make: bool) -> tuple[int, str]:
        opened: list[int] = [os.dup(self.fd)]
        names: list[str] = []
        pending = deque(parts)
        links = 0
        try:
            while pending:
                name = pending.popleft()
                if name in ("", "."):
                    continue
                if name == "..":
                    if names:
                        names.pop()
                        os.close(opened.pop())
                    continue
                target = self._enter(opened, names, name, make)
                if target is None:
                    continue
                links += 1
                if links > _LINKS:
                    raise BadArchive(f"the archive has too many levels of links at {'/'.join(parts)[:200]!r}")
                if target.startswith("/"):
                    for descriptor in opened[1:]:
                        os.close(descriptor)
                    del opened[1:], names[:]
                pending.extendleft(reversed(target.split("/")))
            return os.dup(opened[-1]), "/".join(names)
        finally:
            for descriptor in opened:
                os.close(descriptor)

    def _enter(self, opened: list[int], names: list[str], name: str, make: bool) -> str | None:
        """Go down into *name*, making it when missing and asked to; the target when it is a link."""
        here = opened[-1]
        for _ in range(3):
            try:
                opened.append(os.open(name, _FOLDER, dir_fd=here))
                names.append(name)
                return None
            except FileNotFoundError:
                if not make:
                    raise
                os.mkdir(name, dir_fd=here)
                os.chmod(name, 0o755, dir_fd=here)  # whatever the daemon's umask is
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG:
                    raise BadArchive(f"the archive has a name that is too long: {name[:80]!r}…") from None
                if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                    raise
                try:
                    return os.readlink(name, dir_fd=here)
                except OSError:
                    if not make:
                        raise NotADirectoryError(name) from None
                    path = "/".join((*names, name))
                    if not self.on_obstacle(here, name, path):
                        raise BadArchive(f"the archive puts an entry below {path[:200]!r}, not a directory") from None
        raise BadArchive(f"the archive's directory {name[:200]!r} cannot be made")
