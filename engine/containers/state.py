"""A container's state: the status, which status may follow which, and what each allows.

The names are those of the Engine API (``State.Status``)::

    created ──► running ◄──► paused
                  │  ▲          │
                  ▼  │          ▼
              restarting ──► exited ──► removing ──► dead (removal failed; may be tried again)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pymachine.engine.runtime.base import ExitStatus


class Status(StrEnum):
    """``State.Status`` of the Engine API."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    EXITED = "exited"
    REMOVING = "removing"
    DEAD = "dead"


_NEXT: dict[Status, frozenset[Status]] = {
    Status.CREATED: frozenset({Status.RUNNING, Status.REMOVING}),
    Status.RUNNING: frozenset({Status.PAUSED, Status.RESTARTING, Status.EXITED}),
    Status.PAUSED: frozenset({Status.RUNNING, Status.RESTARTING, Status.EXITED}),
    Status.RESTARTING: frozenset({Status.RUNNING, Status.EXITED, Status.REMOVING}),
    Status.EXITED: frozenset({Status.RUNNING, Status.REMOVING}),
    Status.REMOVING: frozenset({Status.DEAD}),
    Status.DEAD: frozenset({Status.REMOVING}),
}


@dataclass(slots=True)
class State:
    """Where a container is in its life. Times are seconds since the epoch, 0 for never."""

    status: Status = Status.CREATED
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: float = 0.0
    finished_at: float = 0.0

    @property
    def running(self) -> bool:
        """There is a process (paused ones included)."""
        return self.status in (Status.RUNNING, Status.PAUSED)

    @property
    def paused(self) -> bool:
        return self.status is Status.PAUSED

    @property
    def removable(self) -> bool:
        """May be removed without force."""
        return self.status in (Status.CREATED, Status.EXITED, Status.DEAD)

    def to(self, status: Status) -> None:
        """Change the status; an impossible change is a bug of ours and raises `RuntimeError`."""
        if status not in _NEXT[self.status]:
            raise RuntimeError(f"a container cannot go from {self.status} to {status}")
        self.status = status

    def started(self, pid: int, at: float) -> None:
        """Record that the first process runs."""
        self.to(Status.RUNNING)
        self.pid, self.started_at = pid, at
        self.exit_code, self.error, self.oom_killed = 0, "", False

    def ended(self, how: ExitStatus, *, restarting: bool) -> None:
        """Record that the first process ended, and whether the restart policy brings it back."""
        self.to(Status.RESTARTING if restarting else Status.EXITED)
        self.pid, self.exit_code, self.finished_at = 0, how.code, how.finished_at
        self.oom_killed, self.error = how.oom_killed, how.error

    def start_failed(self, code: int, message: str) -> None:
        """Record a start that came to nothing; a restart that fails ends the restarting."""
        self.pid, self.exit_code, self.error = 0, code, message
        if self.status is Status.RESTARTING:
            self.to(Status.EXITED)
