"""Many threads' questions, asked by few calls."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from pymachine.drivers.amazonec2 import sharing
from pymachine.drivers.amazonec2.cloud import Account, Cloud
from pymachine.drivers.amazonec2.gathering import MOST, Gathering
from pymachine.drivers.amazonec2.waiting import Patience
from pymachine.machine.errors import DeadlineExceeded, DriverError


def cloud(seconds: float = 30) -> Cloud:
    return Cloud(Account(region="nowhere"), Patience(seconds))


class Asked:
    """What is asked for, call by call; a call is held up until it is let go."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.gathering = Gathering[str](self._ask)

    def _ask(self, cloud: Cloud, items: Sequence[str]) -> Mapping[str, str]:
        self.calls.append(sorted(items))
        number = len(self.calls)
        self.begun.release()
        assert self.go.acquire(timeout=30)
        if "broken" in items:
            raise DriverError("broken")
        return {item: f"{item} of call {number}" for item in items if item != "absent"}

    def wait_until_waiting(self, number: int) -> None:
        while len(self.gathering._wanted) < number:
            threading.Event().wait(0.001)


def test_who_comes_during_a_call_is_in_the_next() -> None:
    asked = Asked()
    with ThreadPoolExecutor(9) as threads:
        first = threads.submit(asked.gathering.once, cloud(), "first")
        assert asked.begun.acquire(timeout=30)
        rest = [threads.submit(asked.gathering.once, cloud(), name) for name in ("absent", "b", "c", "first")]
        asked.wait_until_waiting(4)
        asked.go.release(2)
        assert first.result(30) == "first of call 1"
        assert [one.result(30) for one in rest] == [None, "b of call 2", "c of call 2", "first of call 2"]
    assert asked.calls == [["first"], ["absent", "b", "c", "first"]]


def test_an_answer_serves_each_who_waits_one_time() -> None:
    """Those who ask again and again share their calls, and none is told the same answer twice."""
    asked = Asked()
    asked.go.release(100)
    with asked.gathering.about("a") as a, asked.gathering.about("b") as b:
        assert (a(cloud()), b(cloud())) == ("a of call 1", "b of call 1")
        assert (b(cloud()), a(cloud())) == ("b of call 2", "a of call 2")
        assert (a(cloud()), a(cloud())) == ("a of call 3", "a of call 4")
    with asked.gathering.about("b") as b:
        assert b(cloud()) == "b of call 5"
    assert asked.calls == [["a", "b"]] * 4 + [["b"]]


def test_an_error_is_told_to_the_caller_alone() -> None:
    asked = Asked()
    with ThreadPoolExecutor(2) as threads:
        broken = threads.submit(asked.gathering.once, cloud(), "broken")
        assert asked.begun.acquire(timeout=30)
        fine = threads.submit(asked.gathering.once, cloud(), "fine")
        asked.wait_until_waiting(2)
        asked.go.release(2)
        with pytest.raises(DriverError, match="broken"):
            broken.result(30)
        assert fine.result(30) == "fine of call 2"
    assert asked.calls == [["broken"], ["fine"]]


def test_a_call_asks_for_no_more_than_a_filter_takes() -> None:
    asked = Asked()
    asked.go.release(100)
    names = [f"i-{number}" for number in range(MOST + 1)]
    questions = [asked.gathering.about(name) for name in names]
    asks = [question.__enter__() for question in questions]
    assert [ask(cloud()) is not None for ask in asks] == [True] * len(names)
    for question in questions:
        question.__exit__(None, None, None)
    assert [len(call) for call in asked.calls] == [MOST, MOST]
    assert names[-1] in asked.calls[1]


def test_nobody_waits_for_another_longer_than_his_own_deadline() -> None:
    asked = Asked()
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(asked.gathering.once, cloud(), "slow")
        assert asked.begun.acquire(timeout=30)
        with pytest.raises(DeadlineExceeded, match="another machine's call"):
            asked.gathering.once(cloud(0.05), "quick")
        asked.go.release(2)
        assert slow.result(30) == "slow of call 1"


def test_what_is_found_out_is_shared_while_machines_are_made_and_no_longer() -> None:
    found: list[int] = []

    def find() -> int:
        found.append(len(found))
        return len(found)

    def ask(question: str) -> int:
        return sharing.find_out(cloud(), question, find)

    assert (ask("what"), ask("what")) == (1, 2)
    with sharing.making(cloud()):
        assert (ask("what"), ask("what"), ask("other")) == (3, 3, 4)
        with sharing.making(cloud()):
            assert ask("what") == 3
        assert ask("what") == 3
    assert ask("what") == 5


def test_an_error_of_finding_out_is_not_remembered() -> None:
    def fail() -> None:
        raise DriverError("no such type")

    with sharing.making(cloud()):
        with pytest.raises(DriverError):
            sharing.find_out(cloud(), "what", fail)
        assert sharing.find_out(cloud(), "what", lambda: "found") == "found"
