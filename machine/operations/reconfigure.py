"""Give a machine other engine or certificate settings: on record first, then on its host."""

from __future__ import annotations

from pymachine.machine.config import EngineOptions, SwarmOptions
from pymachine.machine.machine import Machine
from pymachine.machine.operations import converge
from pymachine.machine.operations.changing import changing
from pymachine.machine.operations.deadline import Deadline
from pymachine.machine.operations.report import Report

TIMEOUT = 600.0
"""Seconds that it may take."""


def reconfigure(
    machine: Machine,
    report: Report,
    *,
    engine: EngineOptions,
    swarm: SwarmOptions | None = None,
    tls_san: tuple[str, ...] = (),
    key_type: str = "",
    timeout: float = TIMEOUT,
) -> None:
    """Let *machine* have these settings; a host that does not run gets them when it starts next.

    Containers keep running unless a setting makes the engine restart, which does not end them either. Without a
    *key_type* the kind of key stays, without *swarm* the part in a cluster.
    """
    deadline = Deadline(timeout)
    with changing(machine, "change"):
        record = machine.record
        certificate = sorted(record.tls_san) != sorted(tls_san) or bool(
            key_type and record.tls.get("key_type") != key_type
        )
        if swarm is not None:
            certificate = certificate or machine.swarm.master != swarm.master  # a manager's is for clients' use too
            record.swarm = swarm.to_json()
        record.engine = {**engine.to_json(), "install_url": record.engine.get("install_url", "")}
        record.tls_san = list(tls_san)
        if key_type:
            record.tls = {**record.tls, "key_type": key_type}
        driver = machine.driver(report, timeout=timeout)
        if driver.features.provisions:
            record.provisioned[converge.DUE] = "its host does not have the settings yet"
        machine.save()
        if not driver.features.provisions:
            return
        if driver.state().value != "Running":
            report.say("It gets its settings when it starts next.")
            return
        if certificate and not _is_foreign(machine):
            converge.rotate(machine, driver, report, deadline, renew=True)
        converge.provision(machine, driver, report, deadline)


def _is_foreign(machine: Machine) -> bool:
    from pymachine.machine.certs.authority import is_foreign

    return is_foreign(machine.store, machine.name)
