"""What only some drivers can do: snapshots, console, resizing, cloning."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pymachine.drivers.base import Clonable, Console, Driver, Resizable, Retypable, Snapshot, Snapshots
from pymachine.machine.errors import DriverError, InvalidName, InvalidOption
from pymachine.machine.machine import Machine
from pymachine.machine.operations.changing import TIMEOUT, changing
from pymachine.machine.operations.report import Report

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def powerful(machine: Machine, driver: Driver, power: type[Any], what: str) -> Any:
    """*driver*, if it has the *power*, a protocol of `pymachine.drivers.base`; else raises `DriverError` saying *what*
    cannot be done."""
    if not isinstance(driver, power):
        raise DriverError(f'Machine "{machine.name}" cannot {what}: the driver {driver.name} has no such power')
    return driver


def snapshots(machine: Machine) -> list[Snapshot]:
    """A machine's snapshots, the oldest first."""
    able: Snapshots = powerful(machine, machine.driver(), Snapshots, "have snapshots")
    return able.snapshots()


def create_snapshot(machine: Machine, name: str, report: Report, *, timeout: float = TIMEOUT) -> None:
    """Keep the machine's state as *name*."""
    if not _NAME.fullmatch(name):
        raise InvalidName(f'"{name}" cannot be the name of a snapshot: letters, digits, "_", "." and "-" can be in it')
    _snapshot(machine, report, timeout, lambda able: able.create_snapshot(name))
    report.say(f'Machine "{machine.name}" has the snapshot "{name}" now.')


def restore_snapshot(machine: Machine, name: str, report: Report, *, timeout: float = TIMEOUT) -> None:
    """Bring the state *name* back."""
    _snapshot(machine, report, timeout, lambda able: able.restore_snapshot(name))
    report.say(f'Machine "{machine.name}" is as it was at the snapshot "{name}".')


def remove_snapshot(machine: Machine, name: str, report: Report, *, timeout: float = TIMEOUT) -> None:
    """Forget the state *name*."""
    _snapshot(machine, report, timeout, lambda able: able.remove_snapshot(name))
    report.say(f'Machine "{machine.name}" has no snapshot "{name}" any more.')


def _snapshot(machine: Machine, report: Report, timeout: float, act: Callable[[Snapshots], None]) -> None:
    with changing(machine, "snapshot"):
        act(powerful(machine, machine.driver(report, timeout=timeout), Snapshots, "have snapshots"))


def resize(machine: Machine, report: Report, *, cpus: int = 0, memory: str = "", disk: str = "") -> None:
    """Give the machine another size."""
    if not (cpus or memory or disk):
        raise InvalidOption("nothing is to be changed: give --cpus, --memory or --disk")
    with changing(machine, "change"):
        driver = machine.driver(report)
        able: Resizable = powerful(machine, driver, Resizable, "be resized")
        changed = able.resize(cpus=cpus, memory=memory, disk=disk)
        machine.record.options.update(changed)
        machine.save()
        running = driver.state().value == "Running"
    if changed:
        when = "when it starts next" if running else "now"
        report.say(f'Machine "{machine.name}" has the new size {when}: {_shown(changed)}.')


def change_type(machine: Machine, name: str, report: Report) -> None:
    """Give a stopped machine another type of those that its driver's provider offers."""
    with changing(machine, "change"):
        able: Retypable = powerful(machine, machine.driver(report), Retypable, "get another type")
        machine.record.options.update(able.change_type(name))
        machine.save()
    report.say(f'Machine "{machine.name}" is of type {name} now.')


def _shown(changed: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in changed.items())


def attach_console(machine: Machine, read: Callable[[], bytes], write: Callable[[bytes], None]) -> None:
    """Attach to the machine's serial console until *read* returns nothing."""
    able: Console = powerful(machine, machine.driver(), Console, "show a console")
    able.attach_console(read, write)


def clone(machine: Machine, name: str, report: Report, *, timeout: float) -> Machine:
    """A new machine *name* with the same settings and a copy of the disk; identity and certificates are its own.

    One that was interrupted goes on when it is cloned again.
    """
    from pymachine.machine.operations.create import Request, create

    with changing(machine, "clone"):
        able: Clonable = powerful(machine, machine.driver(report), Clonable, "be cloned")
        request = Request(
            name=name,
            driver=machine.record.driver,
            options=able.clone_options(),
            engine=machine.engine,
            swarm=machine.swarm,
            key_type=machine.record.tls.get("key_type", ""),
            timeout=timeout,
            resources=able.clone_resources(),
        )
        return create(machine.store, request, report)
