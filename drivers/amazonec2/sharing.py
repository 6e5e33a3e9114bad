"""What machines that are made at once find out together: types, images, networks, and whether they may be launched.

It is remembered only as long as some machine of the account is being made, so that nobody is told what was true
yesterday.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

from pymachine.drivers.amazonec2.cloud import Account, Cloud
from pymachine.machine.errors import DeadlineExceeded

FRESH_SECONDS = 30.0
Value = TypeVar("Value")


class _Shared:
    """One account's answers. One thread finds out, the others with the same question wait for its answer."""

    def __init__(self) -> None:
        self.makers = 0
        self._locks: dict[Hashable, threading.Lock] = {}
        self._answers: dict[Hashable, tuple[float, Any]] = {}

    def lock(self, question: Hashable) -> threading.Lock:
        return self._locks.setdefault(question, threading.Lock())

    def recall(self, question: Hashable) -> tuple[Any, ...]:
        """The answer, in a tuple that is empty when there is none."""
        told, answer = self._answers.get(question, (0.0, None))
        return (answer,) if told and time.monotonic() < told + FRESH_SECONDS else ()

    def remember(self, question: Hashable, answer: object) -> None:
        self._answers[question] = (time.monotonic(), answer)


_lock = threading.Lock()
_accounts: dict[Account, _Shared] = {}


def _forget() -> None:
    """In a forked child: its parent's machines are none of its own, and locks may be held for ever."""
    global _lock
    _lock = threading.Lock()
    _accounts.clear()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_forget)


@contextlib.contextmanager
def making(cloud: Cloud) -> Iterator[None]:
    """A machine is being made: what it finds out holds for others that are made meanwhile."""
    with _lock:
        shared = _accounts.setdefault(cloud.account, _Shared())
        shared.makers += 1
    try:
        yield
    finally:
        with _lock:
            shared.makers -= 1
            if not shared.makers and _accounts.get(cloud.account) is shared:
                del _accounts[cloud.account]


def find_out(cloud: Cloud, question: Hashable, find: Callable[[], Value]) -> Value:
    """What *find* returns for this or another machine that is being made. Its errors are each caller's own."""
    with _lock:
        shared = _accounts.get(cloud.account)
        lock = shared.lock(question) if shared else None
    if shared is None or lock is None:
        return find()
    if not lock.acquire(timeout=cloud.patience.left):
        raise DeadlineExceeded("waiting for another machine's calls to AWS", cloud.patience.seconds)
    try:
        for answer in shared.recall(question):
            return answer  # type: ignore[no-any-return]
        found = find()
        shared.remember(question, found)
        return found
    finally:
        lock.release()
