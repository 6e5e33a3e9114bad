"""Helpers take turns on a machine, and wait for each other no longer than they may."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pymachine.drivers.local.privileged.turns import turn
from pymachine.machine.errors import DeadlineExceeded


def test_one_after_the_other(tmp_path: Path) -> None:
    """The second of one machine waits until the first is done; another machine's does not."""
    lock, order = tmp_path / "network/lock", []

    def second() -> None:
        with turn(lock, "web", 60):
            order.append("second")

    with turn(lock, "web", 0):
        waiting = threading.Thread(target=second)
        waiting.start()
        with turn(lock, "db", 0):
            order.append("db")
        with pytest.raises(DeadlineExceeded, match="waiting for another helper") as caught, turn(lock, "web", 0.1):
            order.append("never")
        order.append("first")
    waiting.join()
    assert order == ["db", "first", "second"]
    assert "privileged.helper" in caught.value.hint
