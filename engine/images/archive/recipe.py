"""How to make a layer's tar again, byte for byte, from its unpacked files.

An image's id is over the digests of its layers' tars, so saving or pushing it needs the same bytes again. A
recipe holds everything of the tar but the files' contents; for these it says where they lie. It is
zlib-compressed, and a sequence of::

    b"R" u32 length, bytes                  bytes of the tar (headers, padding, …)
    b"F" u32 length, path, u32 N, u64 offset, u64 size   a piece of the Nth file, path relative to the layer
    b"E"                                    the end

A file that the archive itself replaces later is moved to ``kept/N``.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pymachine.dockerapi.errors import EngineError

_LENGTH = struct.Struct("<I")
_SPAN = struct.Struct("<QQ")
_PIECE = 1 << 20
_BATCH = 1 << 16


class RecipeWriter:
    """Writes ``recipe`` and ``kept/`` into *folder*."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: BinaryIO = open(folder / "recipe", "xb")  # noqa: SIM115 - closed by close() or abandon()
        self._squeeze = zlib.compressobj(1)
        self._raw = bytearray()
        self._records = bytearray()
        self._number = -1
        self._numbers: dict[str, int] = {}

    def keep(self, data: bytes) -> None:
        """Bytes of the tar itself."""
        self._raw += data
        if len(self._raw) >= _BATCH:
            self._flush_raw()

    def start_file(self, path: str) -> None:
        """The contents of the file at *path* come now."""
        self._number += 1
        self._numbers[path] = self._number

    def span(self, path: str, offset: int, size: int) -> None:
        """*size* bytes of the tar are at *offset* in the file started last."""
        self._flush_raw()
        name = os.fsencode(path)
        self._write(b"F" + _LENGTH.pack(len(name)) + name + _LENGTH.pack(self._number) + _SPAN.pack(offset, size))

    def replaced(self, path: str, folder_fd: int, name: str) -> bool:
        """The file at *path* (*name* in the open directory) makes room: keep its contents if a record wants
        them. False when none does, and the caller must remove it."""
        number = self._numbers.pop(path, None)
        if number is None:
            return False
        (self._folder / "kept").mkdir(exist_ok=True)
        os.rename(name, self._folder / "kept" / str(number), src_dir_fd=folder_fd)
        return True

    def below(self, path: str) -> list[str]:
        """Files that records want, in the directory at *path* or deeper."""
        prefix = path + "/"
        return [one for one in self._numbers if one.startswith(prefix)]

    def close(self) -> None:
        """End the recipe."""
        self._flush_raw()
        self._write(b"E")
        self._file.write(self._squeeze.compress(self._records) + self._squeeze.flush())
        self._file.close()

    def abandon(self) -> None:
        """Close the file only."""
        self._file.close()

    def _flush_raw(self) -> None:
        if self._raw:
            self._write(b"R" + _LENGTH.pack(len(self._raw)) + self._raw)
            self._raw.clear()

    def _write(self, data: bytes) -> None:
        self._records += data
        if len(self._records) >= _BATCH:
            self._file.write(self._squeeze.compress(self._records))
            self._records.clear()


def replay(folder: Path, tree_fd: int) -> Iterator[bytes]:
    """The tar of the layer with its recipe in *folder* and its files below *tree_fd*.

    Raises `EngineError` when something of it is missing; the caller compares the digest.
    """
    with open(folder / "recipe", "rb") as file:
        source = _Inflater(file)
        while True:
            kind = source.take(1)
            if kind == b"E":
                return
            length = _LENGTH.unpack(source.take(4))[0]
            if kind == b"R":
                yield source.take(length)
            elif kind == b"F":
                path = os.fsdecode(source.take(length))
                number = _LENGTH.unpack(source.take(4))[0]
                yield from _contents(folder, tree_fd, path, number, *_SPAN.unpack(source.take(16)))
            else:
                raise EngineError("a layer's recipe is damaged")


class _Inflater:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._object = zlib.decompressobj()
        self._buffer = bytearray()

    def take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            data = self._file.read(_BATCH)
            if not data:
                raise EngineError("a layer's recipe ends early")
            try:
                self._buffer += self._object.decompress(data)
            except zlib.error as error:
                raise EngineError(f"a layer's recipe is damaged: {error}") from None
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken


def _contents(folder: Path, tree_fd: int, path: str, number: int, offset: int, size: int) -> Iterator[bytes]:
    try:
        try:
            file = os.open(folder / "kept" / str(number), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=tree_fd)
    except OSError as error:
        raise EngineError(f"a layer has lost the file {path}: {error.strerror}") from None
    try:
        while size > 0:
            data = os.pread(file, min(size, _PIECE), offset)
            if not data:
                raise EngineError(f"a layer's file {path} is shorter than it was")
            offset, size = offset + len(data), size - len(data)
            yield data
    finally:
        os.close(file)
