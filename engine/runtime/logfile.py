"""What a container says, on disk: the ``local`` format of ours, and Docker's ``json-file``.

``local`` keeps what was read from a pipe as one frame, whatever number of lines it has; so writing costs one
system call for up to 64 KiB, and the reader (`pymachine.engine.runtime.logreader`) cuts the lines:

    bytes   0…3    length of the payload (all numbers big endian)
            4      stream: 1 stdout, 2 stderr
            5…7    zero
            8…15   time, nanoseconds since the epoch
            16…    payload
            then   length of the payload again: so that the end is found without reading from the start

A line may go over from one frame to the next of the same stream, and over a rotation.

``json-file`` is one JSON object a line (``log``, ``stream``, ``time``), lines over 16 KiB in pieces of which only
the last ends in a newline.

Rotation: before a write that would make the file longer than *max_size* it becomes ``<path>.1``, what was that
``<path>.2``, up to ``<path>.<max_files - 1>``.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from pymachine.engine.runtime.spec import LogSpec

    class LogWriter(Protocol):
        """Where the shim writes."""

        def write(self, stream: int, data: bytes, when: int) -> None:
            """Take *data* of *stream* (1 or 2), read at *when* (ns since the epoch)."""
            ...

        def close(self) -> None:
            """Write what is held back (a last line without a newline) and close."""
            ...


STDOUT, STDERR = 1, 2
HEADER, TRAILER = 16, 4
MAX_PAYLOAD = 2**20
JSON_PIECE = 16 * 1024
"""The longest piece of a line in ``json-file``, as in Docker."""


def split_lines(data: bytes) -> list[bytes]:
    """*data* cut after each newline, and only there (``bytes.splitlines`` cuts at carriage returns as well)."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def frame(stream: int, data: bytes, when: int) -> bytes:
    """One frame of the ``local`` format."""
    length = len(data).to_bytes(4, "big")
    return b"".join((length, bytes((stream, 0, 0, 0)), when.to_bytes(8, "big"), data, length))


def parse_header(header: bytes) -> tuple[int, int, int] | None:
    """Length, stream and time of a frame's header; ``None`` when it isn't one."""
    length, stream = int.from_bytes(header[:4], "big"), header[4]
    if stream not in (STDOUT, STDERR) or length > MAX_PAYLOAD or header[5:8] != b"\0\0\0":
        return None
    return length, stream, int.from_bytes(header[8:16], "big")


def start_of_last(pread: Callable[[int, int], bytes], end: int) -> int | None:
    """Where the frame that ends at *end* begins; ``None`` when no whole frame ends there."""
    if end < HEADER + TRAILER:
        return None
    length = int.from_bytes(pread(TRAILER, end - TRAILER), "big")
    start = end - TRAILER - length - HEADER
    if start < 0:
        return None
    found = parse_header(pread(HEADER, start))
    return start if found is not None and found[0] == length else None


class RotatedFile:
    """A file that is appended to and made way for when it grows too long."""

    def __init__(self, path: str, max_size: int, max_files: int) -> None:
        self._path, self._max_size, self._max_files = path, max_size, max(1, max_files)
        self._fd = self._open()
        self._size = os.fstat(self._fd).st_size

    def append(self, data: bytes) -> None:
        """Append *data* as a whole to one file, or nothing of it (`OSError`: the disk is full)."""
        if self._max_size > 0 and self._size and self._size + len(data) > self._max_size:
            self._rotate()
        left = data
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError:
            self.truncate(self._size)
            raise
        self._size += len(data)

    def truncate(self, size: int) -> None:
        """Cut the file to *size* bytes."""
        os.ftruncate(self._fd, size)
        self._size = size

    @property
    def size(self) -> int:
        """Bytes in the present file."""
        return self._size

    def pread(self, size: int, offset: int) -> bytes:
        """Bytes of the present file."""
        return os.pread(self._fd, size, offset)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def _rotate(self) -> None:
        if self._max_files == 1:
            self.truncate(0)
            return
        for number in range(self._max_files - 2, 0, -1):
            try:
                os.rename(f"{self._path}.{number}", f"{self._path}.{number + 1}")
            except FileNotFoundError:
                continue
        os.rename(self._path, f"{self._path}.1")
        os.close(self._fd)
        self._fd = self._open()
        self._size = 0


class LocalLog:
    """Writes the ``local`` format."""

    def __init__(self, spec: LogSpec) -> None:
        self._file = RotatedFile(spec.path, spec.max_size, spec.max_files)
        self._mend()

    def write(self, stream: int, data: bytes, when: int) -> None:
        self._file.append(frame(stream, data, when))

    def close(self) -> None:
        self._file.close()

    def _mend(self) -> None:
        """Cut off a frame that a power cut left half written: nothing after it could be read."""
        file = self._file
        if file.size == 0 or start_of_last(file.pread, file.size) is not None:
            return
        offset = 0
        while found := parse_header(file.pread(HEADER, offset).ljust(HEADER, b"\xff")):
            end = offset + HEADER + found[0] + TRAILER
            if end > file.size:
                break
            offset = end
        file.truncate(offset)


class JsonLog:
    """Writes Docker's ``json-file`` format; holds a line back until it is whole or `JSON_PIECE` long."""

    def __init__(self, spec: LogSpec) -> None:
        self._file = RotatedFile(spec.path, spec.max_size, spec.max_files)
        self._held = {STDOUT: b"", STDERR: b""}

    def write(self, stream: int, data: bytes, when: int) -> None:
        data = self._held[stream] + data
        end = data.rfind(b"\n") + 1
        pieces = [piece for line in split_lines(data[:end]) for piece in _pieces(line)]
        rest = data[end:]
        while len(rest) >= JSON_PIECE:
            pieces.append(rest[:JSON_PIECE])
            rest = rest[JSON_PIECE:]
        self._held[stream] = rest
        self._append(pieces, stream, when)

    def close(self) -> None:
        for stream, rest in self._held.items():
            if rest:
                self._append([rest], stream, time.time_ns())
        self._file.close()

    def _append(self, pieces: list[bytes], stream: int, when: int) -> None:
        if not pieces:
            return
        from _json import encode_basestring as quote

        name = "stdout" if stream == STDOUT else "stderr"
        tail = f',"stream":"{name}","time":"{rfc3339(when)}"}}\n'
        lines = [f'{{"log":{quote(piece.decode(errors="replace"))}{tail}' for piece in pieces]
        self._file.append("".join(lines).encode(errors="replace"))


def _pieces(line: bytes) -> list[bytes]:
    if len(line) <= JSON_PIECE:
        return [line]
    return [line[at : at + JSON_PIECE] for at in range(0, len(line), JSON_PIECE)]


def rfc3339(when: int) -> str:
    """*when* (ns since the epoch) as RFC 3339 with nine digits of a second, in UTC."""
    seconds, nanoseconds = divmod(when, 10**9)
    year, month, day, hour, minute, second = time.gmtime(seconds)[:6]
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanoseconds:09}Z"


class NoLog:
    """Writes nothing."""

    def write(self, stream: int, data: bytes, when: int) -> None:
        pass

    def close(self) -> None:
        pass


def open_writer(spec: LogSpec) -> LogWriter:
    """The writer that *spec* asks for."""
    if spec.driver == "none" or not spec.path:
        return NoLog()
    return JsonLog(spec) if spec.driver == "json-file" else LocalLog(spec)
