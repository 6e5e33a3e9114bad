"""Start a stopped machine, and wait until its engine answers at the address it has now."""

from __future__ import annotations

from pymachine.machine.errors import MachineError
from pymachine.machine.machine import Machine
from pymachine.machine.operations import converge
from pymachine.machine.operations.changing import TIMEOUT, changing, wait_for_state
from pymachine.machine.operations.deadline import Deadline
from pymachine.machine.operations.report import Report


def start(machine: Machine, report: Report, *, timeout: float = TIMEOUT) -> None:
    """Start *machine*; a running one is an error, as with docker-machine."""
    deadline = Deadline(timeout)
    with changing(machine, "start"):
        driver = machine.driver(report, timeout=deadline.left("starting"))
        if driver.features.lifecycle and driver.state().value == "Running":
            raise MachineError(f'Machine "{machine.name}" is already running.')
        bring_up(machine, report, deadline)


def bring_up(machine: Machine, report: Report, deadline: Deadline) -> None:
    """Start, and see to it that the engine can be reached. The lease is held by the caller."""
    driver = machine.driver(report, timeout=deadline.left("starting"))
    report.stage(f'Starting "{machine.name}"...')
    driver.start()
    machine.save()
    wait_for_state(driver, "Running", deadline, "waiting for the machine to run")
    report.say(f'Machine "{machine.name}" was started.')
    if driver.features.provisions:
        converge.reach(machine, driver, report, deadline)
