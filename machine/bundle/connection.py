"""Where a machine's engine (or its cluster's manager) answers, checked over TLS before it is handed out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pymachine.machine.certs.check import check_engine
from pymachine.machine.errors import MachineError
from pymachine.machine.machine import Machine
from pymachine.machine.operations.report import Report

TIMEOUT = 20.0
"""Seconds that the TLS check may take."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A checked address, and the directory with ca.pem, cert.pem and key.pem."""

    url: str
    cert_path: Path
    host: str
    """The machine's address without the port."""


def connect(
    machine: Machine, *, swarm: bool = False, timeout: float = TIMEOUT, report: Report | None = None
) -> Connection:
    """Find and check the connection to *machine*; with *swarm* to the cluster manager that it runs.

    With a *report*, certificates that expire soon or no longer name the machine's address are renewed first.
    """
    if swarm and not machine.swarm.master:
        raise MachineError(
            f'"{machine.name}" is not a swarm master. The --swarm flag is intended for use with swarm masters'
        )
    engine = machine.url()
    if report is not None:
        from pymachine.machine.operations.renew import refresh

        refresh(machine, engine, report)
    url = swarm_url(engine, machine.swarm.manager_port) if swarm else engine
    try:
        check_engine(url, machine.directory, timeout)
    except MachineError as error:
        if swarm:
            _explain_manager(engine, machine, timeout)
        raise _invalid(url, error) from error
    return Connection(url, machine.directory, urlsplit(url).hostname or "")


def swarm_url(engine_url: str, port: int) -> str:
    """*engine_url* with the cluster manager's *port*."""
    host = urlsplit(engine_url).hostname or ""
    bracketed = f"[{host}]" if ":" in host else host
    return f"tcp://{bracketed}:{port}"


def _explain_manager(engine_url: str, machine: Machine, timeout: float) -> None:
    try:
        check_engine(engine_url, machine.directory, timeout)
    except MachineError as error:
        raise _invalid(engine_url, error) from error
    raise MachineError(
        "Connection to Swarm cannot be checked but the certs are valid. Maybe swarm is not started",
        hint="The engine itself answers: leave --swarm out to talk to it.",
    )


def _invalid(url: str, error: MachineError) -> MachineError:
    return MachineError(
        f'There was an error validating certificates for host "{urlsplit(url).netloc}": {error}',
        hint="You can attempt to regenerate them using 'pymachine regenerate-certs [name]'. "
        "Containers keep running meanwhile.",
    )
