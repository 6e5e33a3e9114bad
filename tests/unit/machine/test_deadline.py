"""One deadline for all waits of an operation: errors name the stage, the whole time, the last error, where to look."""

from __future__ import annotations

import pytest

from pymachine.machine.errors import DeadlineExceeded
from pymachine.machine.operations.deadline import Deadline


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_what_is_left_is_told_until_there_is_none(clock: Clock) -> None:
    deadline = Deadline(10, clock=clock)
    clock.now = 4
    assert deadline.left("x") == 6
    clock.now = 10
    with pytest.raises(DeadlineExceeded, match="timed out after 10 s while doing x: no luck") as caught:
        deadline.left("doing x", last_error="no luck", look_at="there")
    assert caught.value.hint == "there"


def test_a_wait_that_ends_with_the_whole_tells_of_the_whole(clock: Clock) -> None:
    deadline = Deadline(10, clock=clock)
    clock.now = 9.5
    with pytest.raises(DeadlineExceeded) as caught, deadline.shared("there"):
        raise DeadlineExceeded("installing", 7, last_error="locked")

    assert str(caught.value) == "timed out after 10 s while installing: locked"
    assert (caught.value.hint, caught.value.stage) == ("there", "installing")


def test_its_own_place_to_look_at_stays(clock: Clock) -> None:
    deadline = Deadline(10, clock=clock)
    clock.now = 20
    with pytest.raises(DeadlineExceeded) as caught, deadline.shared("there"):
        raise DeadlineExceeded("installing", 7, look_at="here")

    assert caught.value.hint == "here"


def test_a_wait_with_a_shorter_time_of_its_own_keeps_it(clock: Clock) -> None:
    deadline = Deadline(600, clock=clock)
    clock.now = 21
    with pytest.raises(DeadlineExceeded, match="after 20 s while killing"), deadline.shared("there"):
        raise DeadlineExceeded("killing", 20)
