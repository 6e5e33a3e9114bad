"""The event bus: what happened, to whoever listens and for a while to whoever asks later."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

KEPT = 256
"""Events kept for ``since`` (as dockerd keeps)."""
_BACKLOG = 4096
"""Events that may wait for one slow listener before it is cut off."""


class EventBus:
    """Publishes Engine API events (``GET /events``). Used from the event loop's thread only."""

    def __init__(self) -> None:
        self._kept: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._listeners: set[asyncio.Queue[dict[str, Any] | None]] = set()

    def publish(self, type: str, action: str, actor: str, attributes: dict[str, str] | None = None) -> None:
        """*type* is ``container``, ``image``, ``network``, ``volume`` or ``daemon``; *actor* its id or name."""
        now = time.time_ns()
        event: dict[str, Any] = {
            "Type": type,
            "Action": action,
            "Actor": {"ID": actor, "Attributes": dict(attributes or {})},
            "scope": "local",
            "time": now // 10**9,
            "timeNano": now,
        }
        if type in ("container", "image"):
            event |= {"status": action, "id": actor}
            if type == "container":
                event["from"] = event["Actor"]["Attributes"].get("image", "")
        self._kept.append(event)
        for queue in list(self._listeners):
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                self._listeners.discard(queue)
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(None)

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def kept(self) -> list[dict[str, Any]]:
        """The newest events, oldest first."""
        return list(self._kept)

    async def listen(self) -> AsyncIterator[dict[str, Any]]:
        """Every event from now on; ends when this listener is too slow to follow."""
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(_BACKLOG)
        self._listeners.add(queue)
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._listeners.discard(queue)
