"""What many threads ask about many things, asked by few calls.

Machines that are made, started or removed at once in one process each look for their own things, again and again. Here
one thread's call asks for all that are wanted at that moment. Alone it is as quick as a call of one's own.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from pymachine.drivers.amazonec2.cloud import Account, Cloud
from pymachine.machine.errors import DeadlineExceeded

MOST = 200
"""A filter takes so many values (EC2 API reference, "Filtering")."""
Value = TypeVar("Value")


class Gathering(Generic[Value]):
    """Questions of one kind to one account, by an item's id; *ask* answers for several, and leaves out what is not
    there."""

    def __init__(self, ask: Callable[[Cloud, Sequence[str]], Mapping[str, Value]]) -> None:
        self._ask = ask
        self._wanted: Counter[str] = Counter()
        self._answers: dict[str, tuple[int, Value | None]] = {}
        """With the number of the call that told."""
        self._calls = 0
        self._asking = False
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def about(self, item: str) -> Iterator[Callable[[Cloud], Value | None]]:
        """A function that asks about *item*. What it returns was asked for after the block began, and each time after
        the time before. While the block runs, calls of others ask about the item too."""
        with self._changed:
            self._wanted[item] += 1
            seen = self._calls

        def ask(cloud: Cloud) -> Value | None:
            nonlocal seen
            seen, value = self._newer(item, seen, cloud)
            return value

        try:
            yield ask
        finally:
            with self._changed:
                self._wanted[item] -= 1
                if not self._wanted[item]:
                    del self._wanted[item]
                    self._answers.pop(item, None)

    def once(self, cloud: Cloud, item: str) -> Value | None:
        """Ask one time."""
        with self.about(item) as ask:
            return ask(cloud)

    def _newer(self, item: str, seen: int, cloud: Cloud) -> tuple[int, Value | None]:
        """An answer of a call after number *seen*: somebody's, or of a call that is made now."""
        while True:
            with self._changed:
                while self._asking and self._number(item) <= seen:
                    if not self._changed.wait(cloud.patience.left):
                        raise DeadlineExceeded("waiting for another machine's call to AWS", cloud.patience.seconds)
                if self._number(item) > seen:
                    return self._answers[item]
                self._asking = True
                self._calls += 1
                number, items = self._calls, self._next(item)
            self._make(cloud, number, items)

    def _make(self, cloud: Cloud, number: int, items: Sequence[str]) -> None:
        """One call. When it fails its caller is told, and the others make their own."""
        found: Mapping[str, Value] | None = None
        try:
            found = self._ask(cloud, items)
        finally:
            with self._changed:
                if found is not None:
                    self._answers |= {item: (number, found.get(item)) for item in items if item in self._wanted}
                self._asking = False
                self._changed.notify_all()

    def _number(self, item: str) -> int:
        return self._answers[item][0] if item in self._answers else 0

    def _next(self, item: str) -> list[str]:
        """*item*, and those who have waited longest."""
        others = sorted((other for other in self._wanted if other != item), key=self._number)
        return [item, *others[: MOST - 1]]


def per_account(make: Callable[[], Gathering[Value]]) -> Callable[[Account], Gathering[Value]]:
    """The `Gathering` of an account, the same for the whole process."""

    @functools.cache
    def of(account: Account) -> Gathering[Value]:
        return make()

    if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
        os.register_at_fork(after_in_child=of.cache_clear)  # the threads that hold its lock are not in the child
    return of
