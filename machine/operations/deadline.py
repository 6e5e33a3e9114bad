"""One deadline for an operation of several waits."""

from __future__ import annotations

import time
from collections.abc import Callable

from pymachine.machine.errors import DeadlineExceeded


class Deadline:
    """The moment an operation must end, on the monotonic clock."""

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._end = clock() + seconds

    def left(self, stage: str) -> float:
        """Seconds left for *stage*; raises `DeadlineExceeded` naming it when there are none."""
        left = self._end - self._clock()
        if left <= 0:
            raise DeadlineExceeded(stage, self.seconds)
        return left
