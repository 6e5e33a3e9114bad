"""The same call on many machines at once, in threads; calls that never come back hold up nobody."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")

MOST_THREADS = 256


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
    ``finished`` false.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    finished: queue.SimpleQueue[tuple[int, Outcome[Item, Value]]] = queue.SimpleQueue()
    for index in range(len(items)):
        waiting.put(index)

    def work() -> None:
        while True:
            try:
                index = waiting.get_nowait()
            except queue.Empty:
                return
            finished.put((index, _attempt(call, items[index])))

    for _ in range(min(len(items), most)):
        threading.Thread(target=work, daemon=True).start()
    return _collect(items, finished, timeout)


def _attempt(call: Callable[[Item], Value], item: Item) -> Outcome[Item, Value]:
    started = time.monotonic()
    outcome: Outcome[Item, Value] = Outcome(item, finished=True)
    try:
        outcome.value = call(item)
    except Exception as error:
        outcome.error = error
    outcome.seconds = time.monotonic() - started
    return outcome


def _collect(
    items: Sequence[Item], finished: queue.SimpleQueue[tuple[int, Outcome[Item, Value]]], timeout: float | None
) -> list[Outcome[Item, Value]]:
    outcomes: list[Outcome[Item, Value]] = [Outcome(item) for item in items]
    end = None if timeout is None else time.monotonic() + timeout
    for _ in items:
        left = None if end is None else max(0.0, end - time.monotonic())
        try:
            index, outcome = finished.get(timeout=left)
        except queue.Empty:
            break
        outcomes[index] = outcome
    return outcomes
