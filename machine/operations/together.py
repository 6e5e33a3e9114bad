"""The same call on many machines at once, in threads; calls that never come back hold up nobody.

One thread begins, and more join as long as this process leaves the processor idle, or nothing comes to its end. A
thousand calls that end at once, as on refused connections, so run more than twice as fast as in four threads or four
hundred, which fight for the interpreter; and a thousand that wait are all under way after a few hundredths of a second.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")

MOST_THREADS = 800
"""Each may hold a socket, and a process has 1,024 descriptors by default."""
LOOK_SECONDS = 0.005
"""How often it is looked at whether twice as many threads should work."""
BUSY = 0.5
"""The part of a processor's time that threads use when more of them would bring nothing."""
STALL_SECONDS = 0.05
"""When nothing has come to its end for so long, the processor is busy with something else."""


@dataclass(slots=True)
class Outcome(Generic[Item, Value]):
    """What became of one call: a value, an error, or neither when time was up first."""

    item: Item
    value: Value | None = None
    error: Exception | None = None
    finished: bool = False
    seconds: float = 0.0


def together(
    call: Callable[[Item], Value], items: Sequence[Item], *, timeout: float | None = None, most: int = MOST_THREADS
) -> list[Outcome[Item, Value]]:
    """Run *call* on every item; outcomes in the order of *items*.

    After *timeout* seconds in all, those not finished are left to their (daemon) threads and returned with
    ``finished`` false; with no time at all nothing is begun.
    """
    if timeout is not None and timeout <= 0:
        return [Outcome(item) for item in items]
    return _Crew(call, items).run(timeout, most)


class _Pace:
    """Whether more threads would bring the work on."""

    def __init__(self) -> None:
        self._used = time.process_time()
        self._at = self._moved = time.monotonic()
        self._unfinished = -1

    def is_slack(self, unfinished: int) -> bool:
        """Since the last look the processor was idle, or nothing has come to its end for long."""
        used, at = time.process_time(), time.monotonic()
        idle = used - self._used < BUSY * (at - self._at)
        if unfinished != self._unfinished:
            self._moved = at
        self._used, self._at, self._unfinished = used, at, unfinished
        return idle or at - self._moved > STALL_SECONDS


class _Crew(Generic[Item, Value]):
    """The threads that share the work."""

    def __init__(self, call: Callable[[Item], Value], items: Sequence[Item]) -> None:
        self._call = call
        self._items = items
        self._outcomes: list[Outcome[Item, Value]] = [Outcome(item) for item in items]
        self._waiting = deque(range(len(items)))
        self._unfinished = len(items)
        self._lock = threading.Lock()
        self._all_finished = threading.Event()
        self._threads = 0

    def run(self, timeout: float | None, most: int) -> list[Outcome[Item, Value]]:
        end = None if timeout is None else time.monotonic() + timeout
        self._grow(1, most)
        pace = _Pace()
        while self._unfinished:
            left = None if end is None else max(0.0, end - time.monotonic())
            grows = bool(self._waiting) and self._threads < most
            pause = left if not grows else LOOK_SECONDS if left is None else min(left, LOOK_SECONDS)
            if self._all_finished.wait(pause) or (end is not None and time.monotonic() >= end):
                break
            if pace.is_slack(self._unfinished):
                self._grow(self._threads, most)
        with self._lock:
            return list(self._outcomes)

    def _grow(self, number: int, most: int) -> None:
        for _ in range(min(number, most - self._threads, len(self._waiting))):
            self._threads += 1
            threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                index = self._waiting.popleft()
            except IndexError:
                return
            outcome = _attempt(self._call, self._items[index])
            with self._lock:
                self._outcomes[index] = outcome
                self._unfinished -= 1
            if not self._unfinished:
                self._all_finished.set()


def _attempt(call: Callable[[Item], Value], item: Item) -> Outcome[Item, Value]:
    started = time.monotonic()
    outcome: Outcome[Item, Value] = Outcome(item, finished=True)
    try:
        outcome.value = call(item)
    except Exception as error:
        outcome.error = error
    outcome.seconds = time.monotonic() - started
    return outcome
