"""A process that is known beyond our own life: by id, start time and boot, so that no other is taken for it.

Sources: proc(5) for /proc/PID/stat and status, pidfd_open(2).
"""

from __future__ import annotations

import os
import select
import signal
from dataclasses import asdict, dataclass
from pathlib import Path

from pymachine.drivers.local import jsonfile

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Process:
    """One process. *start_time* is in clock ticks since boot, *boot_id* names that boot."""

    pid: int
    start_time: int
    boot_id: str

    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        if self.boot_id != boot_id():
            return False
        state, start_time = _stat(self.pid)
        return start_time == self.start_time and state not in "ZX"

    def signal(self, number: int) -> bool:
        """Send a signal to this process and no other; false when it is gone."""
        handle = self._open()
        if handle is None:
            return False
        try:
            signal.pidfd_send_signal(handle, number)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)

    def wait(self, seconds: float) -> bool:
        """Wait for its end; whether it came within *seconds*."""
        handle = self._open()
        if handle is None:
            return True
        try:
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            return bool(poll.poll(max(0.0, seconds) * 1000))
        finally:
            os.close(handle)

    def _open(self) -> int | None:
        """A pidfd; checked after opening, because the id may have been used again before."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if self.alive():
            return handle
        os.close(handle)
        return None


def boot_id() -> str:
    """The id of this boot of the kernel."""
    return BOOT_ID.read_text().strip()


def of(pid: int) -> Process | None:
    """The process that has *pid* now."""
    _, start_time = _stat(pid)
    return Process(pid, start_time, boot_id()) if start_time else None


def read(path: Path) -> Process | None:
    """The process noted in a file; ``None`` when the file is missing or no such note."""
    value = jsonfile.read(path)
    try:
        return Process(int(value["pid"]), int(value["start_time"]), str(value["boot_id"]))
    except (KeyError, TypeError, ValueError):
        return None


def write(path: Path, process: Process) -> None:
    """Note a process in a file."""
    jsonfile.write(path, asdict(process))


def init_of(supervisor: Process) -> Process | None:
    """The machine's own init: nspawn's child that is process 1 of a namespace further down."""
    depth = len(_namespace_pids(supervisor.pid))
    for child in _children(supervisor.pid):
        for pid in _children(child):
            pids = _namespace_pids(pid)
            if len(pids) > depth and pids[-1] == 1:
                return of(pid)
    return None


def _stat(pid: int) -> tuple[str, int]:
    """State letter and start time; the name before them may have blanks and brackets in it."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return "X", 0
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def _namespace_pids(pid: int) -> list[int]:
    """The process's ids, from our namespace to its own."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    line = next((line for line in status.splitlines() if line.startswith("NSpid:")), "NSpid:")
    return [int(number) for number in line.split()[1:]]


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(number) for number in text.split()]
