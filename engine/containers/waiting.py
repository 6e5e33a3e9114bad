"""Who waits for a container to end or to be gone, and what they are told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

Outcome = tuple[int, str]
"""Exit code, and the error that kept the container from running."""
CONDITIONS = ("not-running", "next-exit", "removed")
"""Of ``POST /containers/{id}/wait``."""


@dataclass(slots=True)
class Waiters:
    """Futures by condition, in the order of asking."""

    _futures: dict[str, list[asyncio.Future[Outcome]]] = field(default_factory=dict)

    def add(self, condition: str) -> asyncio.Future[Outcome]:
        """A future that `tell` of the same condition resolves."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._futures.setdefault(condition, []).append(future)
        future.add_done_callback(lambda done: self._forget(condition, done))
        return future

    def tell(self, condition: str, outcome: Outcome) -> None:
        """Resolve every future of *condition*."""
        for future in self._futures.pop(condition, []):
            if not future.done():
                future.set_result(outcome)

    def _forget(self, condition: str, future: asyncio.Future[Outcome]) -> None:
        """A client that went away cancels its future: drop it."""
        futures = self._futures.get(condition, [])
        if future in futures:
            futures.remove(future)
