"""Remove a machine: first the host and all that create made outside, then the record and its files."""

from __future__ import annotations

import contextlib
import os

from pymachine.machine.errors import MachineError, MachineNotFound, RecordDamaged
from pymachine.machine.machine import Machine
from pymachine.machine.operations.changing import TIMEOUT
from pymachine.machine.operations.report import Report
from pymachine.store.base import Record, Store


def remove(store: Store, name: str, report: Report, *, force: bool = False, timeout: float = TIMEOUT) -> None:
    """Remove *name*, whatever a create or remove left of it.

    A driver that fails leaves the record, so that remove can be run again. With *force* the record goes all
    the same; the driver's error is raised after that. A damaged record goes with *force* only, and the host with it
    when enough of the record is legible.
    """
    try:
        _load(store, name, force=force)  # an unknown name must not leave a lock file behind
        with store.lease(name, "remove"):
            machine = _load(store, name, force=force)
            if machine is None:
                _remove_damaged(store, name, report, timeout=timeout)
            else:
                _remove_host(machine, report, force=force, timeout=timeout)
    finally:
        with contextlib.suppress(MachineError):  # what stays there takes some space, and is tried again
            store.sweep()


def finish_removal(store: Store, record: Record, report: Report, *, timeout: float) -> None:
    """Go on with a remove that was cut off; the lease is held by the caller."""
    report.say(f'Finishing the removal of "{record.name}", which was cut off...')
    _remove_host(Machine(store, record), report, force=False, timeout=timeout)


def _load(store: Store, name: str, *, force: bool) -> Machine | None:
    """The machine; with *force* ``None`` for one whose record is damaged."""
    try:
        return Machine.load(store, name)
    except RecordDamaged:
        if force:
            return None
        raise


def _remove_host(machine: Machine, report: Report, *, force: bool, timeout: float) -> None:
    try:
        machine.record.phase = "removing"
        machine.save()
        machine.driver(report, timeout=timeout).remove()
    except MachineError as error:
        if force and not isinstance(error, MachineNotFound):
            _delete(machine, report)
        raise
    _delete(machine, report)


def _delete(machine: Machine, report: Report) -> None:
    """Delete the machine's docker context, then its record and files."""
    from pymachine.machine.context.upkeep import forget

    try:
        forget(machine)
    except MachineError as error:
        report.warn(f'The docker context of "{machine.name}" is still there: {error}')
    machine.store.delete(machine.name)
    if machine.record.expires_at:
        _put_timer_away(machine.store)


def _put_timer_away(store: Store) -> None:
    """Unless there are other machines that expire."""
    from pymachine.machine.lifetime import timer

    with contextlib.suppress(MachineError, OSError):  # its next run does it
        timer.keep(store, os.environ)


def _remove_damaged(store: Store, name: str, report: Report, *, timeout: float) -> None:
    """Let the driver remove what it finds by the machine's id; the record is not written again."""
    record = store.salvage(name)
    problem = "" if record else f'the record of "{name}" says too little'
    if record:
        machine = Salvaged(store, record)
        try:
            machine.driver(report, timeout=timeout).remove()
        except MachineError as error:
            problem = str(error)
        _delete(machine, report)
    else:
        store.delete(name)
    if problem:
        report.warn(f'If the host of "{name}" still exists, it has to be removed by hand: {problem}.')


class Salvaged(Machine):
    """A machine whose record is a guess."""

    def save(self) -> None:
        """Nothing: what is on disk stays until it is deleted."""
