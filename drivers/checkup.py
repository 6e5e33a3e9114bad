"""What a driver's check before create says of this computer, as findings: the `Driver.doctor` of most drivers."""

from __future__ import annotations

import os
import tempfile
import uuid
from pathlib import Path

from pymachine.drivers.base import Context, Driver, Finding
from pymachine.drivers.options import build
from pymachine.machine.errors import InvalidOption, MachineError


class NoJournal:
    """A check makes nothing, so it has nothing to note."""

    def done(self, step: str) -> bool:
        """Nothing was."""
        return False

    def begin(self, step: str, **facts: object) -> None:
        """Nothing."""

    def complete(self, step: str, **facts: object) -> None:
        """Nothing."""

    def facts(self) -> dict[str, object]:
        """None."""
        return {}

    def clear(self) -> None:
        """Nothing."""


def by_pre_create_check(kind: type[Driver]) -> list[Finding]:
    """One finding: that the check passes, or why it does not.

    Options that must be given, and are not here, say nothing of the computer.
    """
    try:
        options = build(kind.name, kind.Options, {}, os.environ)
        with tempfile.TemporaryDirectory(prefix="pymachine-doctor-") as directory:
            kind(options, _context(Path(directory))).pre_create_check()
    except InvalidOption:
        return [Finding("ok", "nothing is missing, as far as that can be told without options")]
    except MachineError as error:
        return [problem(error)]
    return [Finding("ok", "machines can be made")]


def problem(error: MachineError) -> Finding:
    """An error of a check, as a finding."""
    return Finding("problem", str(error), error.hint)


def _context(directory: Path) -> Context:
    return Context(
        machine_id=str(uuid.uuid4()),
        name="doctor",
        store_id=str(uuid.uuid4()),
        directory=directory,
        resources={},
        save=lambda: None,
        journal=NoJournal(),
        report=lambda text: None,
        timeout=30,
    )
