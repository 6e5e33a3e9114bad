"""Which status follows which."""

from __future__ import annotations

import pytest

from pymachine.engine.containers.state import State, Status
from pymachine.engine.runtime.base import ExitStatus


def test_a_life() -> None:
    state = State()
    assert state.removable
    state.started(5, 1.0)
    assert (state.running, state.removable, state.pid) == (True, False, 5)
    state.to(Status.PAUSED)
    assert state.running
    assert state.paused
    state.ended(ExitStatus(137, 2.0, oom_killed=True), restarting=False)
    assert (state.status, state.exit_code, state.pid, state.oom_killed) == (Status.EXITED, 137, 0, True)
    state.started(6, 3.0)
    assert (state.exit_code, state.oom_killed) == (0, False)


def test_a_failed_start_keeps_the_status_and_says_why() -> None:
    state = State()
    state.start_failed(127, "not found")
    assert (state.status, state.exit_code, state.error) == (Status.CREATED, 127, "not found")


def test_a_failed_restart_ends_the_restarting() -> None:
    state = State()
    state.started(5, 1.0)
    state.ended(ExitStatus(1, 2.0), restarting=True)
    statuses = [state.status]
    state.start_failed(128, "no")
    assert [*statuses, state.status] == [Status.RESTARTING, Status.EXITED]


@pytest.mark.parametrize(
    ("before", "after"),
    [(Status.CREATED, Status.PAUSED), (Status.RUNNING, Status.REMOVING), (Status.DEAD, Status.RUNNING)],
)
def test_impossible_changes_are_bugs(before: Status, after: Status) -> None:
    with pytest.raises(RuntimeError, match=f"from {before} to {after}"):
        State(status=before).to(after)
