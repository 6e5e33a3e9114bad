"""The logs of a machine: what was done to its host, and its engine's journal, which needs no engine that answers."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass

from pymachine.machine.errors import MachineError
from pymachine.machine.log.file import WorkLog
from pymachine.machine.machine import Machine
from pymachine.machine.ssh.base import SSHSession
from pymachine.provisioners.paths import ENGINE_LOG

CONNECT = 20.0
"""Seconds that reaching the host may take."""
ANSWER = 30.0
"""Seconds that one look at the journal may take."""
PAUSE = 0.5
"""Seconds between two looks while following."""
UNIT = "pyengine"
_CURSOR = "-- cursor: "


def work_done(machine: Machine, lines: int) -> list[str]:
    """The last *lines* of what was done to the machine's host, from its directory; the host is not asked."""
    return WorkLog(machine.directory).read()[-lines:] if lines else []


def engine_log(machine: Machine, lines: int, *, follow: bool = False) -> Iterator[str]:
    """The last *lines* of the engine's journal; with *follow* also what comes, until the caller stops asking.

    Raises `MachineError` when the host does not run or cannot be reached.
    """
    from pymachine.machine.ssh.connect import open_session

    driver = machine.driver()
    if driver.state().value != "Running":
        raise MachineError(
            f'The engine\'s journal cannot be read: Host "{machine.name}" is not running',
            hint=f'Start it first: "pymachine start {machine.name}".',
        )
    with open_session(driver.ssh_endpoint(), timeout=CONNECT, report=lambda _: None) as session:
        look = _look(session, lines, cursor="")
        yield from look.lines
        while follow:
            time.sleep(PAUSE)
            look = _look(session, 0 if look.cursor else -1, cursor=look.cursor)
            yield from look.lines


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look at the journal found, and where the next one begins."""

    lines: list[str]
    cursor: str


def _look(session: SSHSession, lines: int, cursor: str) -> _Look:
    result = session.run(script(lines, cursor), sudo=True, check=False, timeout=ANSWER)
    if result.status:
        reason = (result.stderr.strip() or result.stdout.strip() or f"status {result.status}").splitlines()[-1]
        raise MachineError(f"cannot read the engine's journal on the host: {reason}")
    found = [line for line in result.stdout.splitlines() if line != "-- No entries --"]
    if found and found[-1].startswith(_CURSOR):
        cursor = found.pop().removeprefix(_CURSOR)
    return _Look(found, cursor)


def script(lines: int, cursor: str) -> str:
    """A shell script that prints the journal after *cursor*, or without one its last *lines* (all when negative), and
    the new cursor on a line of its own: journalctl's, or the size of the log file."""
    journal = f"--after-cursor={shlex.quote(cursor)}" if cursor else f"--lines={lines if lines >= 0 else 'all'}"
    seen = int(cursor) if cursor.isdecimal() else 0
    from_there = f'tail -c +"$(({seen} > size ? 1 : {seen} + 1))"'
    wanted = from_there if cursor or lines < 0 else f"tail -n {lines}"
    return (
        "if command -v journalctl >/dev/null 2>&1; then "
        f"exec journalctl --unit={UNIT} --no-pager --quiet --output=short-iso --show-cursor {journal}; fi; "
        f"[ -e {ENGINE_LOG} ] || exit 0; size=$(wc -c <{ENGINE_LOG}) || exit; "
        f'head -c "$size" {ENGINE_LOG} | {wanted}; echo "{_CURSOR}$size"'
    )
