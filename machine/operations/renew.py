"""Renew a machine's certificates before they expire, and when its address has changed, by reload.

Looking whether there is anything to do takes a fraction of a millisecond, so every `env` and `start` looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pymachine.machine.errors import MachineError
from pymachine.machine.machine import Machine
from pymachine.machine.operations import converge
from pymachine.machine.operations.changing import changing
from pymachine.machine.operations.deadline import Deadline
from pymachine.machine.operations.report import Report

if TYPE_CHECKING:
    from pymachine.drivers.base import Driver

TIMEOUT = 60.0
"""Seconds that the renewal may take which another command, such as `env`, finds due."""


def reason(machine: Machine, host: str) -> str:
    """Why the certificates of *machine*, whose address is *host*, must be renewed or sent again; empty when not."""
    from pymachine.machine.certs.renewal import renewal_reason

    delivered = machine.record.provisioned.get("certificates", [])
    return renewal_reason(machine.store.certs_dir(), machine.directory, host, delivered)


def refresh(machine: Machine, url: str, report: Report, *, timeout: float = TIMEOUT) -> None:
    """Renew what is due of a running machine's certificates; its engine answers at *url*.

    What cannot be renewed now may be good for days, so a failure is told as a warning: who goes on to use the
    certificates finds out whether they are.
    """
    host = urlsplit(url).hostname or ""
    if not (machine.ready and reason(machine, host)):
        return
    deadline = Deadline(timeout)
    try:
        with changing(machine, "renew the certificates of", wait=timeout):
            why = reason(machine, host)  # perhaps who had the lease before us has done it
            if why:
                driver = machine.driver(report, timeout=deadline.left("renewing certificates"))
                renew_in_time(machine, driver, report, deadline, why)
    except MachineError as error:
        report.warn(f'The certificates of "{machine.name}" could not be renewed: {error}')


def renew_in_time(machine: Machine, driver: Driver, report: Report, deadline: Deadline, why: str) -> None:
    """Renew the store's certificates if they are due, then the machine's, and bring them to its host. The lease is
    held by the caller."""
    from pymachine.machine.certs.authority import bootstrap

    report.say(f'Renewing the certificates of "{machine.name}": {why}.')
    bootstrap(machine.store, report.say)
    if driver.features.provisions:
        converge.rotate(machine, driver, report, deadline)
    else:
        converge.hand_out_client_certificate(machine)
        converge.keep_context(machine, driver, report)
