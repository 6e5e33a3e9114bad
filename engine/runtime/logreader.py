"""Reading containers' logs: both formats of `pymachine.engine.runtime.logfile`, rotated or not, whole or followed.

Plain, synchronous and incremental: nothing here waits, so that the caller chooses how (a thread for the long
read, a timer or inotify to follow)::

    reader = open_reader(spec.log, tail=100, since=0)
    while entries := reader.read():          # about `READ_SIZE` bytes at a time: call it in a thread
        send(entries)
    while following:                         # nothing new: an empty list; ask again later
        await asyncio.sleep(0.1)
        send(reader.read())
    send(reader.finish())                    # the container has ended: a last line without a newline
    reader.close()

An entry has whole lines of one stream and one moment, perhaps many: who only passes bytes on need not cut them,
and who writes the time before each line takes `LogEntry.lines`. Only a line that is longer
than `LONG_LINE` comes in pieces, all but the first marked ``continued``.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from pymachine.engine.runtime import logfile
from pymachine.engine.runtime.logframes import Frames, JsonFrames, LocalFrames
from pymachine.engine.runtime.spec import LogSpec

READ_SIZE = 2**20
"""About how much `LogReader.read` takes from disk at a time."""
LONG_LINE = 16 * 1024
"""The longest line that is waited for before it is handed out in pieces, as in Docker."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """Whole lines that one stream had at one moment."""

    time: int
    """Nanoseconds since the epoch."""
    stream: int
    """1 stdout, 2 stderr."""
    data: bytes
    continued: bool = False
    """It begins in the middle of a line, after an entry of the same stream that did not end in a newline."""

    def lines(self) -> list[bytes]:
        """The lines, each with its newline; a carriage return does not end one."""
        return logfile.split_lines(self.data)


class LogReader:
    """Reads one container's log from *tail* lines before its end (all of it for ``None``), and what comes after.

    *since* and *until* are nanoseconds since the epoch, 0 for no bound. Make it by `open_reader`.
    """

    def __init__(self, path: str, frames: Frames, *, tail: int | None, since: int, until: int) -> None:
        self._path, self._frames = path, frames
        self._since, self._until = since, until
        self._skip_lines = 0
        self._held: dict[int, tuple[int, bytes, bool]] = {}
        """By stream: the beginning of a line whose end is not there yet, with its time."""
        self._files = _Files(path)
        self._buffer = b""
        self._start(tail)

    def read(self) -> list[LogEntry]:
        """The next entries, ``[]`` when there are none now. A file that isn't there yet has none."""
        while True:
            data = self._files.read(READ_SIZE)
            if not data:
                return []
            self._buffer += data
            entries = self._take()
            if entries:
                return entries

    def finish(self) -> list[LogEntry]:
        """What is left when no more comes: beginnings of lines without an end."""
        entries = [LogEntry(when, stream, data, more) for stream, (when, data, more) in self._held.items() if data]
        self._held.clear()
        return [entry for entry in entries if self._wanted(entry)]

    def close(self) -> None:
        """Close the file."""
        self._files.close()

    def _start(self, tail: int | None) -> None:
        if tail is None:
            self._files.rewind()
            return
        self._skip_lines = self._files.seek_tail(tail, self._frames)

    def _take(self) -> list[LogEntry]:
        frames, used = self._frames.cut(self._buffer)
        self._buffer = self._buffer[used:]
        entries = [entry for when, stream, data in frames for entry in self._lines(when, stream, data)]
        return [entry for entry in map(self._after_skip, entries) if entry is not None and self._wanted(entry)]

    def _lines(self, when: int, stream: int, data: bytes) -> Iterator[LogEntry]:
        """*data* as whole lines; a rest without a newline is held until its line ends or grows too long."""
        held_when, held, continued = self._held.pop(stream, (when, b"", False))
        end = data.rfind(b"\n") + 1
        if held or continued:
            first = data.find(b"\n") + 1
            if first:
                yield LogEntry(held_when, stream, held + data[:first], continued)
                data, end, held, continued = data[first:], end - first, b"", False
        if end:
            yield LogEntry(when, stream, data[:end])
            data = data[end:]
        rest = held + data
        if len(rest) >= LONG_LINE:
            yield LogEntry(held_when if held else when, stream, rest, continued)
            rest, continued = b"", True
        if rest or continued:
            self._held[stream] = (held_when if held else when, rest, continued)

    def _after_skip(self, entry: LogEntry) -> LogEntry | None:
        """*entry* without the lines before the tail."""
        if not self._skip_lines:
            return entry
        lines = entry.data.count(b"\n")
        if lines <= self._skip_lines:
            self._skip_lines -= lines
            return None
        at = 0
        for _ in range(self._skip_lines):
            at = entry.data.index(b"\n", at) + 1
        self._skip_lines = 0
        return LogEntry(entry.time, entry.stream, entry.data[at:])

    def _wanted(self, entry: LogEntry) -> bool:
        return entry.time >= self._since and (not self._until or entry.time <= self._until)


class _Files:
    """The log's files from the oldest to the present one, read as one; goes on in the next when one is rotated."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1

    def read(self, size: int) -> bytes:
        """The next bytes, ``b""`` when there are none now."""
        while True:
            if self._fd < 0 and not self._open_oldest():
                return b""
            data = os.read(self._fd, size)
            if data or not self._open_next():
                return data

    def rewind(self) -> None:
        """Start from the oldest."""
        self.close()

    def seek_tail(self, wanted: int, frames: Frames) -> int:
        """Go to where at least *wanted* lines are left; how many are left above that."""
        found = 0
        names = _existing(self._path)
        for name in names:  # newest first
            self.close()
            self._fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
            size = os.fstat(self._fd).st_size
            offset, lines = frames.lines_before(self._pread, size, wanted - found)
            found += lines
            if found >= wanted:
                os.lseek(self._fd, offset, os.SEEK_SET)
                return found - wanted
        self.close()
        return max(0, found - wanted)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _pread(self, size: int, offset: int) -> bytes:
        return os.pread(self._fd, size, offset)

    def _open_oldest(self) -> bool:
        names = _existing(self._path)
        return bool(names) and self._open(names[-1])

    def _open_next(self) -> bool:
        """Open the file after the one that has been read, if it was rotated and has been read to its end."""
        present = os.fstat(self._fd)
        names = _existing(self._path)
        for index, name in enumerate(names):
            if _same_file(name, present):
                if index == 0:
                    return False
                if os.fstat(self._fd).st_size > os.lseek(self._fd, 0, os.SEEK_CUR):
                    return True  # written between our last read and its rotation
                return self._open(names[index - 1])
        return self._open_oldest()  # ours was rotated away: the oldest there is comes next

    def _open(self, name: str) -> bool:
        try:
            fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        self.close()
        self._fd = fd
        return True


def _same_file(name: str, other: os.stat_result) -> bool:
    try:
        found = os.stat(name)
    except FileNotFoundError:
        return False
    return (found.st_dev, found.st_ino) == (other.st_dev, other.st_ino)


def _existing(path: str) -> deque[str]:
    """The log's files that are there, the present one first."""
    names: deque[str] = deque()
    if os.path.exists(path):
        names.append(path)
    number = 1
    while os.path.exists(f"{path}.{number}"):
        names.append(f"{path}.{number}")
        number += 1
    return names


def open_reader(spec: LogSpec, *, tail: int | None = None, since: int = 0, until: int = 0) -> LogReader:
    """A reader of the log that *spec* describes; `ValueError` when that is not kept (driver ``none``)."""
    if spec.driver == "none" or not spec.path:
        raise ValueError("configured logging driver does not support reading")
    frames: Frames = JsonFrames() if spec.driver == "json-file" else LocalFrames()
    return LogReader(spec.path, frames, tail=tail, since=since, until=until)
