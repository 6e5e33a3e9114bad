"""Both log formats (`pymachine.engine.runtime.logfile`) cut into frames, from the front and from the back."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from pymachine.engine.runtime import logfile

Frame = tuple[int, int, bytes]
"""Time, stream, data."""
Pread = Callable[[int, int], bytes]
"""pread(2): so many bytes from such an offset."""


class Frames(Protocol):
    """How one format cuts a file into frames."""

    def cut(self, data: bytes) -> tuple[list[Frame], int]:
        """The whole frames at the beginning of *data*, and how many bytes they take."""
        ...

    def lines_before(self, pread: Pread, end: int, wanted: int) -> tuple[int, int]:
        """Walk back from *end* until *wanted* lines are behind: the offset, and how many lines are behind it."""
        ...


class LocalFrames:
    """The ``local`` format."""

    def cut(self, data: bytes) -> tuple[list[Frame], int]:
        frames: list[Frame] = []
        at, size = 0, len(data)
        while at + logfile.HEADER <= size:
            header = logfile.parse_header(data[at : at + logfile.HEADER])
            if header is None:
                return frames, size  # damaged: nothing after it can be trusted
            length, stream, when = header
            end = at + logfile.HEADER + length
            if end + logfile.TRAILER > size:
                break
            frames.append((when, stream, data[at + logfile.HEADER : end]))
            at = end + logfile.TRAILER
        return frames, at

    def lines_before(self, pread: Pread, end: int, wanted: int) -> tuple[int, int]:
        if not wanted:
            return end, 0
        if end and logfile.start_of_last(pread, end) is None:
            end = _end_of_whole_frames(pread, end)  # a frame is being written, or was when the power went
        # Frames may begin in the middle of a line, one of each stream: two lines more, which are then skipped.
        found, needed, unended = 0, wanted + 2, {logfile.STDOUT, logfile.STDERR}
        while end > 0 and found < needed:
            start = logfile.start_of_last(pread, end)
            if start is None:
                break
            data = pread(end - start - logfile.TRAILER, start)
            found += data.count(b"\n", logfile.HEADER)
            if data[4] in unended:
                unended.discard(data[4])
                found += not data.endswith(b"\n")  # the stream's last line, which has no end yet
            end = start
        return end, found


def _end_of_whole_frames(pread: Pread, size: int) -> int:
    at = 0
    while header := logfile.parse_header(pread(logfile.HEADER, at).ljust(logfile.HEADER, b"\xff")):
        end = at + logfile.HEADER + header[0] + logfile.TRAILER
        if end > size:
            break
        at = end
    return at


_HEAD, _STREAM = b'{"log":"', b'","stream":"'
_LINE_END = b'\\n","stream"'
"""What follows a line's text in ``json-file``. Text of the container's own has its quotes escaped, and pieces of a
long line don't have the newline."""


class JsonFrames:
    """Docker's ``json-file`` format."""

    def __init__(self) -> None:
        self._last_time = ("", 0)

    def cut(self, data: bytes) -> tuple[list[Frame], int]:
        end = data.rfind(b"\n") + 1
        frames: list[Frame] = []
        lines: list[bytes] = []
        tail = b""
        for line in data[: end - 1].split(b"\n") if end else ():
            # Lines that were written together end alike, stream and time: only their texts are looked at one by one.
            if lines and line.endswith(tail):
                lines.append(line)
                continue
            self._add(frames, lines, tail)
            lines, tail = [line], line[line.rfind(_STREAM) :]
        self._add(frames, lines, tail)
        return frames, end

    def _add(self, frames: list[Frame], lines: list[bytes], tail: bytes) -> None:
        """Add what *lines*, which all end in *tail*, say: as one frame when they are as simple as ours."""
        try:
            ending = json.loads(b'{"log":"' + tail)
            texts = [line[len(_HEAD) : -len(tail)] for line in lines if line.startswith(_HEAD)]
            if len(texts) == len(lines):
                text = json.loads(b'"' + b"".join(texts) + b'"')
                frames.append(self._frame({**ending, "log": text}))
                return
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        for line in lines:
            try:
                frames.append(self._frame(json.loads(line)))
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # a damaged line hides no other

    def _frame(self, item: Any) -> Frame:
        stream = logfile.STDERR if item["stream"] == "stderr" else logfile.STDOUT
        return self._time(item["time"]), stream, item["log"].encode(errors="replace")

    def _time(self, text: str) -> int:
        if text != self._last_time[0]:  # lines that were read together were written with one time
            self._last_time = (text, parse_time(text))
        return self._last_time[1]

    def lines_before(self, pread: Pread, end: int, wanted: int) -> tuple[int, int]:
        step, overlap = 65536, len(_LINE_END) - 1
        found = int(end > 0 and not _ends_with_line(pread, end))
        while end > 0:
            start = max(0, end - step)
            block = pread(end - start + overlap, start)  # so that an end across two blocks is seen in one
            lines = block.count(_LINE_END)
            if found + lines > wanted:
                return _offset_after(pread, block, start, found + lines - wanted), wanted
            found, end = found + lines, start
        return 0, found


def _ends_with_line(pread: Pread, end: int) -> bool:
    """Whether the last object has the end of a line: a program may have ended without one."""
    last = pread(min(end, 128), max(0, end - 128))
    return _LINE_END in last


def _offset_after(pread: Pread, block: bytes, start: int, skip: int) -> int:
    """The offset in the file of what follows *skip* lines of *block*, which was read at *start*."""
    at = 0
    for _ in range(skip):
        at = block.index(_LINE_END, at) + len(_LINE_END)
    tail = pread(512, start + at)  # the rest of that object: the stream and the time
    return start + at + tail.index(b"\n") + 1


def parse_time(text: str) -> int:
    """RFC 3339 as Docker writes it, to the nanosecond; `ValueError` for anything else."""
    moment, _, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    zone = rest[len(digits) :] if digits else ""
    seconds = int(datetime.fromisoformat(moment + zone if digits else moment).timestamp())
    return seconds * 10**9 + int(digits.ljust(9, "0")[:9] or 0)
