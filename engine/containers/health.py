"""Health checks: a command run in the container now and then, and what its results add up to.

The rules are those documented for ``HEALTHCHECK``: *retries* failures in a row make a container unhealthy;
failures during the start period do not count until a first success; one success makes it healthy.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pymachine.engine.containers.problems import Problems
from pymachine.engine.containers.times import stamp

_SECOND = 10**9
_SHORTEST = 10**6
KEPT_RESULTS = 5
OUTPUT_LIMIT = 4096
"""Bytes of a probe's output that are kept."""


@dataclass(frozen=True, slots=True)
class Check:
    """A ``Healthcheck`` with Docker's defaults; times in seconds."""

    command: tuple[str, ...]
    interval: float
    timeout: float
    start_period: float
    start_interval: float
    retries: int


def check(given: Mapping[str, Any], problems: Problems) -> None:
    """Note times too short to be meant (they are in nanoseconds), and a negative number of tries."""
    for name in ("Interval", "Timeout", "StartPeriod", "StartInterval"):
        if given.get(name) and given[name] < _SHORTEST:
            problems.add(f"{name} in Healthcheck cannot be less than 1ms")
    if (given.get("Retries") or 0) < 0:
        problems.add("Retries in Healthcheck cannot be negative")


def read(config: Mapping[str, Any]) -> Check | None:
    """The health check of a container's ``Config``, or ``None`` when it has none."""
    given = config.get("Healthcheck") or {}
    test = given.get("Test") or []
    if not test or test[0] == "NONE" or len(test) < 2:
        return None
    shell = config.get("Shell") or ["/bin/sh", "-c"]
    command = (*shell, test[1]) if test[0] == "CMD-SHELL" else tuple(test[1:])

    def seconds(name: str, default: float) -> float:
        return (given.get(name) or default * _SECOND) / _SECOND

    return Check(
        command,
        seconds("Interval", 30),
        seconds("Timeout", 30),
        seconds("StartPeriod", 0),
        seconds("StartInterval", 5),
        int(given.get("Retries") or 3),
    )


@dataclass(slots=True)
class Health:
    """The health of one run of a container."""

    check: Check
    status: str = "starting"
    """``starting``, ``healthy`` or ``unhealthy``."""
    streak: int = 0
    """Failures in a row."""
    began: float = field(default_factory=time.monotonic)
    results: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT_RESULTS))

    @property
    def starting(self) -> bool:
        """Still in the start period, without a success so far."""
        return self.status == "starting" and time.monotonic() - self.began < self.check.start_period

    @property
    def pause(self) -> float:
        """Seconds until the next probe."""
        return min(self.check.start_interval, self.check.interval) if self.starting else self.check.interval

    def note(self, code: int, output: str, start: float, end: float) -> bool:
        """Take one probe's result in; whether the status changed."""
        self.results.append({"Start": stamp(start), "End": stamp(end), "ExitCode": code, "Output": output})
        before = self.status
        if code == 0:
            self.status, self.streak = "healthy", 0
        elif not self.starting:
            self.streak += 1
            if self.streak >= self.check.retries:
                self.status = "unhealthy"
        return self.status != before

    def view(self) -> dict[str, Any]:
        """``State.Health`` of inspect."""
        return {"Status": self.status, "FailingStreak": self.streak, "Log": list(self.results)}
