"""Many calls at once."""

import threading
import time

import pytest

from pymachine.machine.errors import DeadlineExceeded
from pymachine.machine.operations.deadline import Deadline
from pymachine.machine.operations.together import together


def test_outcomes_keep_the_order_of_the_items() -> None:
    first_may_end = threading.Event()

    def call(number: int) -> int:
        if number == 0:
            first_may_end.wait(10)
        else:
            first_may_end.set()
        return number * 2

    assert [outcome.value for outcome in together(call, [0, 1])] == [0, 2]


def test_an_error_harms_no_other_call() -> None:
    outcomes = together(lambda number: 1 // number, [1, 0])

    assert outcomes[0].value == 1
    assert isinstance(outcomes[1].error, ZeroDivisionError)


def test_a_call_that_never_ends_is_left_behind() -> None:
    never = threading.Event()
    try:
        outcomes = together(lambda wait: wait and never.wait(), [False, True], timeout=0.2)
        assert [outcome.finished for outcome in outcomes] == [True, False]
    finally:
        never.set()


def test_more_items_than_threads() -> None:
    assert [outcome.value for outcome in together(lambda number: number, list(range(50)), most=3)] == list(range(50))


def test_calls_that_wait_for_each_other_are_all_under_way_at_last() -> None:
    together_at_last = threading.Barrier(50)

    outcomes = together(lambda number: together_at_last.wait(30), list(range(50)), timeout=30)

    assert all(outcome.finished and outcome.error is None for outcome in outcomes)


def test_calls_that_wait_but_a_moment_are_shared_by_more_threads_up_to_the_most() -> None:
    """As hosts nearby answer: something comes to its end all the time, and the processor is idle all the same."""
    threads: set[int] = set()

    def call(number: int) -> None:
        threads.add(threading.get_ident())
        time.sleep(0.002)

    together(call, list(range(300)), most=3)

    assert len(threads) == 3


def test_nothing_to_do() -> None:
    assert together(lambda number: number, []) == []


def test_a_deadline_names_the_stage_that_found_it_passed() -> None:
    now = [0.0]
    deadline = Deadline(10, clock=lambda: now[0])
    now[0] = 4.0
    assert deadline.left("waiting") == 6.0
    now[0] = 10.0
    with pytest.raises(DeadlineExceeded, match="timed out after 10 s while waiting"):
        deadline.left("waiting")
