"""Random access to an image archive's members on disk: the archive is only ever read where it lies."""

from __future__ import annotations

import os
import tarfile
from dataclasses import dataclass
from typing import BinaryIO

from pymachine.engine.images.archive.tree import clean
from pymachine.engine.images.errors import BadArchive, UnsafeArchive

_ENTRIES = 200_000
_LINKS = 10


@dataclass(frozen=True, slots=True)
class Member:
    """Where a regular file's contents are in the archive."""

    offset: int
    size: int


class ArchiveIndex:
    """The regular files of an uncompressed tar, by clean name; links between them are followed inside it."""

    def __init__(self, file: BinaryIO) -> None:
        """Reads all headers: blocks. Raises `BadArchive`."""
        self._file = file
        self._members: dict[str, Member] = {}
        self._links: dict[str, str] = {}
        file.seek(0)
        try:
            with tarfile.TarFile(fileobj=file, mode="r", errorlevel=2) as tar:
                for number, info in enumerate(tar):
                    if number > _ENTRIES:
                        raise BadArchive(f"the archive has more than {_ENTRIES} entries")
                    self._add(info)
        except BadArchive:
            raise
        except (tarfile.TarError, ValueError, LookupError, OverflowError, RecursionError) as error:
            raise BadArchive(f"not a valid tar archive: {error}") from None
        self._size = file.seek(0, os.SEEK_END)

    def find(self, name: str) -> Member | None:
        """The file called *name*; raises `UnsafeArchive` for a name that leaves the archive."""
        key = "/".join(clean(name))
        for _ in range(_LINKS):
            if key in self._members:
                return self._members[key]
            if key not in self._links:
                return None
            key = self._links[key]
        raise BadArchive(f"the archive has too many links at {name[:200]!r}")

    def get(self, name: str) -> Member:
        """As `find`; raises `BadArchive` when it is missing or cut off."""
        member = self.find(name)
        if member is None:
            raise BadArchive(f"the archive has no file {name[:200]!r}")
        if member.offset + member.size > self._size:
            raise BadArchive(f"the archive ends inside {name[:200]!r}")
        return member

    def read(self, name: str, limit: int) -> bytes:
        """A small file's contents; raises `BadArchive`."""
        member = self.get(name)
        if member.size > limit:
            raise BadArchive(f"the archive's {name[:200]!r} has {member.size} bytes; {limit} is the limit")
        return os.pread(self._file.fileno(), member.size, member.offset)

    def _add(self, info: tarfile.TarInfo) -> None:
        parts = clean(info.name)
        name = "/".join(parts)
        if info.issparse():
            raise BadArchive(f"the archive's {info.name[:200]!r} is sparse, which an image archive cannot be")
        if info.isreg():
            self._members[name] = Member(info.offset_data, info.size)
        elif info.issym():
            try:
                self._links[name] = "/".join(clean("/".join((*parts[:-1], info.linkname))))
            except UnsafeArchive:
                pass  # a link to nowhere; only an error if somebody wants it
        elif info.islnk():
            self._links[name] = "/".join(clean(info.linkname))
