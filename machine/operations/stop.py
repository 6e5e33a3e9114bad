"""Stop a machine, gracefully or at once."""

from __future__ import annotations

from pymachine.machine.errors import MachineError
from pymachine.machine.machine import Machine
from pymachine.machine.operations.changing import TIMEOUT, changing, wait_for_state
from pymachine.machine.operations.deadline import Deadline
from pymachine.machine.operations.report import Report


def stop(machine: Machine, report: Report, *, timeout: float = TIMEOUT) -> None:
    """Let the host shut down; a stopped machine is an error, as with docker-machine."""
    _end(machine, report, timeout, "stop", "Stopping", "stopped")


def kill(machine: Machine, report: Report, *, timeout: float = TIMEOUT) -> None:
    """Cut the host's power, so to say."""
    _end(machine, report, timeout, "kill", "Killing", "killed")


def _end(machine: Machine, report: Report, timeout: float, verb: str, doing: str, done: str) -> None:
    deadline = Deadline(timeout)
    with changing(machine, verb, finished=False):
        driver = machine.driver(report, timeout=timeout)
        if driver.state().value == "Stopped":
            raise MachineError(f'Machine "{machine.name}" is already stopped.')
        report.stage(f'{doing} "{machine.name}"...')
        if verb == "kill":
            driver.kill()
        else:
            driver.stop()
        machine.save()
        wait_for_state(driver, "Stopped", deadline, "waiting for the machine to stop")
        report.say(f'Machine "{machine.name}" was {done}.')
