"""Decompression by what the bytes say: gzip, bzip2, xz, zstd (where libzstd is installed), or nothing.

Pieces are bounded, so that a small file which unpacks to terabytes is never held in memory.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from pymachine.engine.images.archive.zstd import ZstdDecompressor, is_zstd
from pymachine.engine.images.errors import BadArchive

PIECE = 1 << 20
"""Bytes of output at a time, about."""
_READ = 1 << 18
_ERRORS = (zlib.error, OSError, EOFError, lzma.LZMAError, ValueError)


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    """zlib's object with the interface that bz2's and lzma's have."""

    def __init__(self) -> None:
        self._object = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def needs_input(self) -> bool:
        return not self._object.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._object.decompress(data or self._object.unconsumed_tail, max(max_length, 0))


def sniff(head: bytes) -> str:
    """The compression of a stream that starts with *head* (six bytes are enough); ``""`` for none."""
    if head[:3] == b"\x1f\x8b\x08":
        return "gzip"
    if head[:3] == b"BZh":
        return "bzip2"
    if head[:6] == b"\xfd7zXZ\x00":
        return "xz"
    return "zstd" if is_zstd(head) else ""


def decompressed(file: BinaryIO, size: int | None = None) -> Iterator[bytes]:
    """The uncompressed bytes of *file*, from where it stands to its end (or *size* bytes on).

    Raises `BadArchive` when they are damaged or end early.
    """
    pieces = _raw(file, size)
    head = next(pieces, b"")
    kind = sniff(head)
    if not kind:
        yield head
        yield from pieces
        return
    try:
        yield from _members(kind, head, pieces)
    except _ERRORS as error:
        if isinstance(error, BadArchive):
            raise
        raise BadArchive(f"the {kind} data is damaged: {error}") from None


def _raw(file: BinaryIO, size: int | None) -> Iterator[bytes]:
    left = size
    while left is None or left > 0:
        piece = file.read(_READ if left is None else min(_READ, left))
        if not piece:
            if left:
                raise BadArchive("the archive ends early")
            return
        if left is not None:
            left -= len(piece)
        yield piece


def _members(kind: str, head: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """One compressed stream after another (gzip(1) and pigz write several in a row)."""
    pending = head
    while pending:
        stream = _NEW[kind]()
        while not stream.eof:
            output = stream.decompress(pending, PIECE)
            pending = b""
            if output:
                yield output
            if stream.eof:
                pending = stream.unused_data
            elif stream.needs_input:
                pending = next(pieces, b"")
                if not pending:
                    raise BadArchive(f"the {kind} data ends early")
        pending = pending or next(pieces, b"")
        if pending and sniff(pending) != kind:
            if not pending.strip(b"\0") and all(not piece.strip(b"\0") for piece in pieces):
                return  # padding, which gzip(1) ignores too
            raise BadArchive(f"there is something else after the {kind} data")


_NEW: dict[str, Callable[[], _Decompressor]] = {
    "gzip": _Gzip,
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(format=lzma.FORMAT_XZ),
    "zstd": ZstdDecompressor,
}
