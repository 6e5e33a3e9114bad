"""Waits with a deadline, and pauses that grow and differ between processes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from pymachine.machine.errors import DeadlineExceeded

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds."""
FOUND_SECONDS = 20.0
"""How long what was made by a call without an answer may be hard to find."""
Value = TypeVar("Value")


class Patience:
    """One deadline for all waits of an operation."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds; not negative."""
        return max(0.0, self._end - time.monotonic())

    def at_most(self, seconds: float) -> Patience:
        """A shorter one within this."""
        return Patience(min(seconds, self.left))

    def pause(self, attempt: int, stage: str, *, last_error: str = "", look_at: str = "") -> None:
        """Sleep before attempt number *attempt* + 1 (from 0), with full jitter, so that many clients that were
        refused together do not come back together. Raises `DeadlineExceeded` when there is no time left."""
        if self.left <= 0:
            raise DeadlineExceeded(stage, self.seconds, last_error=last_error, look_at=look_at)
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)
        time.sleep(min(random.uniform(longest / 4, longest), self.left))

    def until(
        self,
        ask: Callable[[], Value],
        good: Callable[[Value], bool],
        stage: str,
        *,
        last: Callable[[Value], str] = lambda value: "",
        look_at: Callable[[], str] = lambda: "",
    ) -> Value:
        """Ask until the answer is good; *last* and *look_at* tell of the last one when time is up."""
        attempt = 0
        while not good(value := ask()):
            if self.left <= 0:
                raise DeadlineExceeded(stage, self.seconds, last_error=last(value), look_at=look_at())
            self.pause(min(attempt, 4), stage)
            attempt += 1
        return value


def settled(find: Callable[[], Value], patience: Patience, seconds: float) -> Value:
    """The first answer of *find* that is not empty, else the last within *seconds*: what was made by a call that was
    cut off may not be found at once."""
    short = patience.at_most(seconds)
    attempt = 0
    while not (found := find()) and short.left > 0:
        short.pause(attempt, "looking for what may just have been made")
        attempt += 1
    return found
