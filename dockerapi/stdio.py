"""Docker's stdio frames, without input or output.

A container without a terminal sends standard output and error over one connection (attach, exec, logs) as
frames: one byte that names the stream, three zero bytes, the payload's length in four bytes, big-endian, then
the payload (Engine API 1.24+, "Attach to a container", "Stream format").
"""

from __future__ import annotations

import struct

STDIN = 0
"""Also written to standard output by clients; the engine never sends it."""
STDOUT = 1
STDERR = 2

HEADER_SIZE = 8
LARGEST_FRAME = 2**31
"""A length above this is no frame: the peer speaks something else."""

_HEADER = struct.Struct(">BxxxI")


def header(stream: int, length: int) -> bytes:
    """The eight bytes before a payload of *length* bytes."""
    return _HEADER.pack(stream, length)


def encode(stream: int, data: bytes | bytearray | memoryview) -> bytes:
    """*data* as one frame."""
    return b"".join((_HEADER.pack(stream, len(data)), data))


class FramingError(ValueError):
    """What was received is not a sequence of frames."""


class Decoder:
    """Takes frames out of a stream that arrives in pieces of any size.

    Payloads are handed on as they arrive, so a frame of any length needs no more memory than a piece.
    """

    def __init__(self) -> None:
        self._head = bytearray()
        self._stream = 0
        self._left = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The (stream, bytes) pieces that *data* completes or continues. Raises `FramingError`."""
        pieces: list[tuple[int, bytes]] = []
        position = 0
        while position < len(data):
            if self._left == 0:
                position += self._take_header(data, position)
                continue
            piece = data[position : position + self._left]
            pieces.append((self._stream, bytes(piece)))
            self._left -= len(piece)
            position += len(piece)
        return pieces

    def _take_header(self, data: bytes, position: int) -> int:
        taken = data[position : position + HEADER_SIZE - len(self._head)]
        self._head += taken
        if len(self._head) == HEADER_SIZE:
            self._stream, self._left = _HEADER.unpack(self._head)
            if self._stream > STDERR or self._left > LARGEST_FRAME or any(self._head[1:4]):
                raise FramingError(f"not a stdio frame: {bytes(self._head).hex()}")
            self._head.clear()
        return len(taken)

    @property
    def at_boundary(self) -> bool:
        """Whether the stream may end here: no frame is half received."""
        return self._left == 0 and not self._head
