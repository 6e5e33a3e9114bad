"""Provision again, renew certificates, upgrade: each converges the host once more."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pymachine.machine.errors import MachineError
from pymachine.machine.machine import Machine
from pymachine.machine.operations import converge
from pymachine.machine.operations.changing import changing
from pymachine.machine.operations.deadline import Deadline
from pymachine.machine.operations.report import Report
from pymachine.machine.operations.start import bring_up

if TYPE_CHECKING:
    from pymachine.drivers.base import Driver

TIMEOUT = 600.0
"""Seconds that converging one machine may take."""


def provision(machine: Machine, report: Report, *, timeout: float = TIMEOUT) -> None:
    """Bring the host to what its record says; changes nothing on a host that is as wanted."""
    from pymachine.machine.certs.authority import bootstrap

    deadline = Deadline(timeout)
    with _running(machine, report, timeout, "provision") as driver:
        bootstrap(machine.store, report.say)
        converge.provision(machine, driver, report, deadline)


def regenerate_certificates(machine: Machine, report: Report, *, key_type: str = "", timeout: float = TIMEOUT) -> None:
    """A new server certificate, and the store's current CA and client certificate; containers keep running. A
    *key_type* is on record from now on, so that renewal keeps it."""
    from pymachine.machine.certs import keytype

    deadline = Deadline(timeout)
    wanted = keytype.key_type(key_type) if key_type else ""
    with _running(machine, report, timeout, "regenerate the certificates of") as driver:
        if wanted:
            machine.record.tls = {**machine.record.tls, "key_type": wanted}
            machine.save()
        converge.rotate(machine, driver, report, deadline, renew=True)


def upgrade(machine: Machine, report: Report, *, timeout: float = TIMEOUT) -> None:
    """Bring the host to the engine that comes with this pymachine, starting it first when it is stopped."""
    deadline = Deadline(timeout)
    before = machine.record.provisioned.get("release", "")
    with changing(machine, "upgrade"):
        driver = machine.driver(report, timeout=timeout)
        _must_provision(machine, "upgrade")
        if driver.state().value != "Running":
            report.say("Starting machine so machine can be upgraded...")
            bring_up(machine, report, deadline)
        else:
            _let_in(driver)
        report.stage("Upgrading docker...")
        converge.provision(machine, driver, report, deadline)
        if machine.record.provisioned["release"] == before:
            report.say(f'Machine "{machine.name}" has the newest engine already.')


@contextlib.contextmanager
def _running(machine: Machine, report: Report, timeout: float, purpose: str) -> Iterator[Driver]:
    """The sole right to change a machine that runs, and its driver."""
    with changing(machine, purpose):
        _must_provision(machine, purpose)
        driver = machine.driver(report, timeout=timeout)
        if driver.state().value != "Running":
            raise MachineError("Host is not running", hint=f'Start it first: "pymachine start {machine.name}".')
        _let_in(driver)
        yield driver


def _let_in(driver: Driver) -> None:
    """The host is to be reached from this computer, wherever that is by now."""
    from pymachine.drivers.base import LetsIn

    if isinstance(driver, LetsIn):
        driver.let_in()


def _must_provision(machine: Machine, purpose: str) -> None:
    if not machine.driver().features.provisions:
        raise MachineError(
            f'Cannot {purpose} machine "{machine.name}": hosts of driver "{machine.record.driver}" are not provisioned'
        )
