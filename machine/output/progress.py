"""Progress for people: plain lines for pipes and files, a live line on a terminal."""

from __future__ import annotations

import sys
import threading
import time
from typing import TextIO

from pymachine.machine.terminal import TERMINAL

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
INTERVAL = 0.1
"""Seconds between two frames of the spinner."""


class Plain:
    """One line for each message, in docker-machine's words; safe for several threads."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def stage(self, text: str) -> None:
        """A line."""
        self._line(text)

    def note(self, text: str) -> None:
        """A line."""
        self._line(text)

    def say(self, text: str) -> None:
        """A line."""
        self._line(text)

    def warn(self, text: str) -> None:
        """A line."""
        self._line(text)

    def close(self, *, failed: bool = False) -> None:
        """Nothing is left open."""

    def _line(self, text: str) -> None:
        with self._lock:
            self._stream.write(f"{text}\n")
            self._stream.flush()


class Live:
    """The stage in progress as a line that moves: a spinner, the stage, its newest note, its seconds.

    A finished stage stays as a line with the seconds it took.
    """

    def __init__(self, stream: TextIO, *, columns: int = 80) -> None:
        self._stream = stream
        self._columns = columns
        self._lock = threading.Lock()
        self._stage = ""
        self._note = ""
        self._since = 0.0
        self._frame = 0
        self._closed = threading.Event()
        self._painter: threading.Thread | None = None

    def stage(self, text: str) -> None:
        """End the stage before it and begin this one."""
        with self._lock:
            self._finish("✓")
            self._stage, self._note, self._since = text, "", time.monotonic()
            self._paint()
            self._start_painter()

    def note(self, text: str) -> None:
        """Show beside the stage; a line of its own when there is no stage."""
        with self._lock:
            if not self._stage:
                self._write(f"{text}\n")
                return
            self._note = text
            self._paint()

    def say(self, text: str) -> None:
        """End the stage before it; a line that stays."""
        with self._lock:
            self._finish("✓")
            self._write(f"{text}\n")

    def warn(self, text: str) -> None:
        """A line that stays, above the stage in progress."""
        with self._lock:
            self._write(f"\r\x1b[K{text}\n")
            if self._stage:
                self._paint()

    def close(self, *, failed: bool = False) -> None:
        """End the last stage, well or not, and stop moving."""
        self._closed.set()
        with self._lock:
            self._finish("✗" if failed else "✓")

    def _start_painter(self) -> None:
        if self._painter is None:
            self._painter = threading.Thread(target=self._keep_painting, daemon=True)
            self._painter.start()

    def _keep_painting(self) -> None:
        while not self._closed.wait(INTERVAL):
            with self._lock:
                if self._stage and not TERMINAL.locked():
                    self._frame = (self._frame + 1) % len(FRAMES)
                    self._paint()

    def _paint(self) -> None:
        note = f"  {self._note}" if self._note else ""
        tail = f" {time.monotonic() - self._since:.0f} s"
        text = f"{FRAMES[self._frame]} {self._stage}{note}"
        self._write(f"\r\x1b[K{_cut(text, self._columns - len(tail) - 1)}{tail}")

    def _finish(self, mark: str) -> None:
        if self._stage:
            tail = f" {time.monotonic() - self._since:.1f} s"
            self._write(f"\r\x1b[K{_cut(f'{mark} {self._stage}', self._columns - len(tail) - 1)}{tail}\n")
        self._stage = self._note = ""

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: max(0, width - 1)]}…"


def progress(stream: TextIO | None = None, *, live: bool = True) -> Plain | Live:
    """What fits *stream* (standard output): a live line on a capable terminal, else plain lines."""
    import os
    import shutil

    stream = stream or sys.stdout
    capable = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb" and _speaks_unicode(stream)
    if live and capable:
        return Live(stream, columns=shutil.get_terminal_size().columns)
    return Plain(stream)


def _speaks_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "") == "utf8"
