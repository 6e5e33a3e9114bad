"""What is sent to a host: bytes or a file, and the shell command at the other end that makes a file of it."""

from __future__ import annotations

import io
import posixpath
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, Self, cast

CHUNK = 1 << 18
"""Bytes read from a file at once."""


class Source:
    """Bytes to send, their number known beforehand."""

    def __init__(self, data: bytes) -> None:
        self.head = b""
        """Sent before all else, and not counted in `size`."""
        self.size = len(data)
        self._file: BinaryIO = io.BytesIO(data)
        self._spool: BinaryIO | None = None

    @classmethod
    def of(cls, data: bytes | BinaryIO) -> Source:
        """From bytes or from where a file stands; one that cannot seek (a pipe) is first copied to a temporary file."""
        if isinstance(data, bytes):
            return cls(data)
        source = cls(b"")
        source._take(data)
        return source

    def chunks(self) -> Iterator[memoryview]:
        """What is to be sent, no more than `size` bytes even when the file grows meanwhile."""
        if self.head:
            yield memoryview(self.head)
        left = self.size
        while left and (chunk := self._file.read(min(CHUNK, left))):
            left -= len(chunk)
            yield memoryview(chunk)

    def __bool__(self) -> bool:
        """Whether there is anything to send."""
        return bool(self.head or self.size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._spool:
            self._spool.close()

    def _take(self, file: BinaryIO) -> None:
        if not file.seekable():
            self._spool = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=1 << 20))  # noqa: SIM115 - ours to close
            shutil.copyfileobj(file, self._spool, CHUNK)
            self._spool.seek(0)
            file = self._spool
        start = file.tell()
        self.size = file.seek(0, io.SEEK_END) - start
        file.seek(start)
        self._file = file


def upload_command(path: str, mode: int, size: int) -> str:
    """A shell command that makes standard input the file *path*.

    mktemp(1) makes the temporary file 0600 in the same directory; it takes its mode, and then its name by one
    rename, only when all *size* bytes have come.
    """
    directory, name = posixpath.split(path)
    template = shlex.quote(posixpath.join(directory or ".", f".{name}.XXXXXX"))
    target = shlex.quote(path if path.startswith("/") else f"./{path}")
    return (
        f"t=$(mktemp {template}) || exit 1; trap 'rm -f \"$t\"' EXIT HUP INT TERM; "
        f'cat >"$t" && [ "$(wc -c <"$t")" -eq {size} ] && chmod {mode:04o} "$t" && mv -fT "$t" {target}'
    )
