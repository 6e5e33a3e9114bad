"""Progress messages (the JSON stream of pull, push and load), and work that several clients watch at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

Message = dict[str, Any]
Send = Callable[[Message], None]
"""Called in the event loop's thread."""

_INTERVAL = 0.1
"""Seconds between two messages about one layer: more only slow terminals down."""
_BAR = 50


def step(status: str, about: str, current: int = 0, total: int = 0) -> Message:
    """A message about the part called *about*; with numbers if there are any."""
    detail = {"current": current, "total": total} if total else {}
    message: Message = {"status": status, "progressDetail": detail, "id": about}
    if total:
        message["progress"] = _bar(current, total)
    return message


def failure(text: str) -> Message:
    """The message that ends a stream in which something failed."""
    return {"errorDetail": {"message": text}, "error": text}


class Meter:
    """Counts bytes of one part, from any thread, and sends messages at a sensible pace."""

    def __init__(self, send: Send, status: str, about: str, total: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._send, self._status, self._about, self._total = send, status, about, total
        self._current = 0
        self._next = 0.0

    def add(self, size: int) -> None:
        """*size* more bytes."""
        self.set(self._current + size)

    def set(self, current: int) -> None:
        """*current* bytes so far."""
        self._current = current
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _INTERVAL
            message = step(self._status, self._about, min(current, self._total), self._total)
            self._loop.call_soon_threadsafe(self._send, message)


class Shared:
    """Work in progress that any number of clients follow. It is cancelled when the last of them goes."""

    def __init__(self, work: Callable[[Send], Awaitable[None]]) -> None:
        self._told: dict[Any, Message] = {}
        self._watchers: set[asyncio.Queue[Message | None]] = set()
        self.task = asyncio.ensure_future(self._run(work))

    async def follow(self) -> AsyncGenerator[Message, None]:
        """What was said so far (of each part the newest), then what comes; raises what the work raises."""
        queue: asyncio.Queue[Message | None] = asyncio.Queue()
        for message in self._told.values():
            queue.put_nowait(message)
        if self.task.done():
            queue.put_nowait(None)
        self._watchers.add(queue)
        try:
            while (item := await queue.get()) is not None:
                yield item
            await asyncio.shield(self.task)
        finally:
            self._watchers.discard(queue)
            if not self._watchers and not self.task.done():
                self.task.cancel()

    async def _run(self, work: Callable[[Send], Awaitable[None]]) -> None:
        try:
            await work(self._tell)
        finally:
            for queue in self._watchers:
                queue.put_nowait(None)

    def _tell(self, message: Message) -> None:
        key = message["id"] if "progressDetail" in message else len(self._told)
        self._told[key] = message
        for queue in self._watchers:
            queue.put_nowait(message)


def _bar(current: int, total: int) -> str:
    filled = min(_BAR, _BAR * current // total)
    bar = "=" * filled + ">" if filled < _BAR else "=" * _BAR
    return f"[{bar:<{_BAR}}]  {human(current)}/{human(total)}"


def human(size: float) -> str:
    """*size* bytes for people, in powers of 1000 as Docker shows them."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.4g}{unit}"
        size /= 1000
    return f"{size:.4g}TB"
