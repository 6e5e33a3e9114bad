"""``docker logs``: a container's log as the Engine API streams it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from pymachine.engine.containers.context import Context
from pymachine.engine.containers.model import Container


@dataclass(frozen=True, slots=True)
class Wish:
    """What of the log a client wants. Times are seconds since the epoch."""

    stdout: bool = True
    stderr: bool = True
    follow: bool = False
    timestamps: bool = False
    since: float | None = None
    until: float | None = None
    tail: int | None = None
    """Lines from the end; ``None`` for all."""


async def read(context: Context, container: Container, wish: Wish) -> AsyncIterator[bytes]:
    yield b""
