"""Restart a machine, and wait until its engine answers at the address it has now."""

from __future__ import annotations

from pymachine.machine.machine import Machine
from pymachine.machine.operations import converge
from pymachine.machine.operations.changing import TIMEOUT, changing, wait_for_state
from pymachine.machine.operations.deadline import Deadline
from pymachine.machine.operations.report import Report
from pymachine.machine.operations.start import bring_up


def restart(machine: Machine, report: Report, *, timeout: float = TIMEOUT) -> None:
    """Restart a running machine; start one that is stopped."""
    deadline = Deadline(timeout)
    with changing(machine, "restart"):
        driver = machine.driver(report, timeout=timeout)
        if driver.state().value != "Running":
            bring_up(machine, report, deadline)
            return
        report.stage(f'Restarting "{machine.name}"...')
        driver.restart()
        machine.save()
        wait_for_state(driver, "Running", deadline, "waiting for the machine to run")
        if driver.features.provisions:
            converge.reach(machine, driver, report, deadline)
