"""One deadline for an operation of several waits."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from pymachine.machine.errors import DeadlineExceeded

MOMENT = 1.0
"""Seconds before the end that count as the end."""


class Deadline:
    """The moment an operation must end, on the monotonic clock."""

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._end = clock() + seconds

    def left(self, stage: str, *, last_error: str = "", look_at: str = "") -> float:
        """Seconds left for *stage*; raises `DeadlineExceeded` naming it when there are none."""
        left = self._end - self._clock()
        if left <= 0:
            raise DeadlineExceeded(stage, self.seconds, last_error=last_error, look_at=look_at)
        return left

    @contextlib.contextmanager
    def shared(self, look_at: str) -> Iterator[None]:
        """For waits that were given what is left of the whole: when one ends with it, its error tells of the whole
        time, and says to *look_at* if it says nothing itself."""
        try:
            yield
        except DeadlineExceeded as error:
            if self._end - self._clock() > MOMENT:
                raise
            hint = error.hint or look_at
            whole = DeadlineExceeded(error.stage, self.seconds, last_error=error.last_error, look_at=hint)
            raise whole from error
