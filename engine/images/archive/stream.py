"""A tar as a forward-only stream whose every byte goes somewhere: into a file, or into the layer's recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pymachine.engine.images.errors import BadArchive

HEADER_LIMIT = 8 << 20
"""Bytes of one header with its extensions; tarfile would read any length that the archive claims."""


class TarStream:
    """The file object that `tarfile.TarFile` reads headers from; only ever moves forward.

    *keep* is given, in order, every byte that is not handed out by `payload`.
    """

    def __init__(self, pieces: Iterator[bytes], keep: Callable[[bytes], None]) -> None:
        self._pieces = pieces
        self._keep = keep
        self._piece = memoryview(b"")
        self._position = 0
        self._header = b""

    def read(self, size: int = -1) -> bytes:
        """For tarfile: header blocks. Short only at the end."""
        if size < 0 or size > HEADER_LIMIT:
            raise BadArchive("the archive has a header of more than 8 MiB")
        data = b"".join(self.payload(size))
        self._header = data
        self._keep(data)
        return data

    def payload(self, size: int) -> Iterator[memoryview]:
        """The next *size* bytes, not kept; fewer at the end."""
        while size > 0:
            if not self._piece:
                self._piece = memoryview(next(self._pieces, b""))
                if not self._piece:
                    return
            part, self._piece = self._piece[:size], self._piece[size:]
            size -= len(part)
            self._position += len(part)
            yield part

    def seek(self, offset: int, whence: int = 0) -> int:
        """For tarfile: over what it does not want."""
        if whence != 0 or offset < self._position:
            raise BadArchive("the archive's headers contradict each other")
        for part in self.payload(offset - self._position):
            self._keep(bytes(part))
        return self._position

    def tell(self) -> int:
        return self._position

    def finish(self) -> None:
        """tarfile saw the end: keep all that is left (padding after the end mark).

        Raises `BadArchive` when that was no end: tarfile takes a damaged header for one.
        """
        if self._header.strip(b"\0") or len(self._header) % 512:
            raise BadArchive("the archive is damaged, or ends early")
        while True:
            if not self._piece:
                self._piece = memoryview(next(self._pieces, b""))
                if not self._piece:
                    return
            self._keep(bytes(self._piece))
            self._position += len(self._piece)
            self._piece = memoryview(b"")
