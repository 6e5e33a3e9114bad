"""``docker logs``: a container's log as the Engine API streams it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from pymachine.dockerapi import stdio
from pymachine.dockerapi.errors import NotServed
from pymachine.engine.containers.context import Context
from pymachine.engine.containers.model import Container
from pymachine.engine.containers.options import log_spec
from pymachine.engine.containers.state import Status
from pymachine.engine.runtime.logfile import rfc3339
from pymachine.engine.runtime.logreader import LogEntry, LogReader, open_reader

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.01, 0.1
"""Seconds between two looks at a log that is followed: short while there is something new."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What of the log a client wants. Times are seconds since the epoch."""

    stdout: bool = True
    stderr: bool = True
    follow: bool = False
    timestamps: bool = False
    since: float | None = None
    until: float | None = None
    details: bool = False
    """Each line's attributes before it, of which there are none: a blank."""
    tail: int | None = None
    """Lines from the end; ``None`` for all."""


def open_log(context: Context, container: Container, wish: Wish) -> LogReader:
    """A reader of the container's log; raises `NotServed` for a log driver that keeps none."""
    given = container.host_config.get("LogConfig") or {}
    path = context.documents.folder(container.id) / "log"
    spec = log_spec(given.get("Type") or context.options.log_driver, given.get("Config") or {}, str(path))
    try:
        return open_reader(spec, tail=wish.tail, since=_nanoseconds(wish.since), until=_nanoseconds(wish.until))
    except ValueError as error:
        raise NotServed(str(error)) from None


def _nanoseconds(seconds: float | None) -> int:
    return int(seconds * 10**9) if seconds else 0


async def pieces(container: Container, reader: LogReader, wish: Wish) -> AsyncIterator[bytes]:
    """The log as bytes for the client, framed unless the container has a terminal; closes *reader*."""
    try:
        while entries := await asyncio.to_thread(reader.read):
            yield _encode(entries, container, wish)
        if wish.follow:
            async for piece in _follow(container, reader, wish):
                yield piece
        yield _encode(reader.finish(), container, wish)
    finally:
        reader.close()


async def _follow(container: Container, reader: LogReader, wish: Wish) -> AsyncIterator[bytes]:
    """What comes while the container runs, or its restart policy will run it again."""
    pause = _SHORTEST_PAUSE
    while True:
        # Asked before reading: what was written before the end is then certainly read.
        over = not container.state.running and container.state.status is not Status.RESTARTING
        entries = reader.read()
        if entries:
            pause = _SHORTEST_PAUSE
            yield _encode(entries, container, wish)
            continue
        if over or (wish.until is not None and wish.until <= time.time()):
            return
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _encode(entries: Iterable[LogEntry], container: Container, wish: Wish) -> bytes:
    """Entries of the wanted streams as one piece."""
    wanted = {stdio.STDOUT} if wish.stdout else set()
    wanted |= {stdio.STDERR} if wish.stderr else set()
    parts: list[bytes] = []
    for entry in entries:
        if entry.stream not in wanted:
            continue
        data = _headed(entry, wish) if wish.timestamps or wish.details else entry.data
        if not container.tty:
            parts.append(stdio.header(entry.stream, len(data)))
        parts.append(data)
    return b"".join(parts)


def _headed(entry: LogEntry, wish: Wish) -> bytes:
    """The entry with what was asked for before each line."""
    stamp = (rfc3339(entry.time).encode() + b" " if wish.timestamps else b"") + b" " * wish.details
    lines = entry.lines()
    first = b"" if entry.continued else stamp
    return first + stamp.join(lines)
