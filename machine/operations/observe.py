"""What ``ls`` and ``active`` show: every machine asked at once, within one time limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pymachine.machine.errors import MachineError
from pymachine.machine.machine import Machine
from pymachine.machine.operations.together import Outcome, together
from pymachine.store.base import Damaged, Store

TIMEOUT = 10.0
"""Seconds within which a machine must have answered."""


@dataclass(slots=True)
class Row:
    """One machine, as seen now."""

    name: str
    driver: str
    state: str = ""
    url: str = ""
    active_host: bool = False
    active_swarm: bool = False
    swarm: str = ""
    """The cluster master's name, with `` (master)`` on the master itself."""
    docker_version: str = ""
    error: str = ""
    seconds: float = 0.0
    labels: tuple[str, ...] = field(default=(), repr=False)

    @property
    def active(self) -> str:
        """``*``, ``* (swarm)`` or ``-``."""
        return "*" if self.active_host else "* (swarm)" if self.active_swarm else "-"

    @property
    def docker(self) -> str:
        """The engine's version, as the table shows it."""
        return f"v{self.docker_version}" if self.docker_version else "Unknown"


def load_all(store: Store) -> tuple[list[Machine], list[Damaged]]:
    """Every machine of the store, and every record that cannot be used."""
    machines: list[Machine] = []
    damaged: list[Damaged] = []
    for item in store.load_all():
        if isinstance(item, Damaged):
            damaged.append(item)
        else:
            machines.append(Machine(store, item))
    return machines, damaged


def from_records(machines: Sequence[Machine]) -> list[Row]:
    """Rows of what the records say; nobody is asked."""
    masters = swarm_masters(machines)
    return [_blank(machine, masters) for machine in machines]


def observe(
    machines: Sequence[Machine], docker_host: str, *, timeout: float = TIMEOUT, engines: bool = True
) -> list[Row]:
    """Ask all *machines* at once, and with *engines* their engines too.

    *docker_host* (``$DOCKER_HOST``) tells which machine is active.
    """
    masters = swarm_masters(machines)

    def ask(machine: Machine) -> Row:
        row = _ask(machine, docker_host, masters, timeout)
        if engines and row.url:
            _ask_engine(machine, row, timeout)
        return row

    outcomes = together(ask, machines, timeout=timeout)
    return [_row(outcome, masters) for outcome in outcomes]


def row_of_damaged(damaged: Damaged) -> Row:
    """A record that cannot be used, as a row."""
    return Row(damaged.name, "not found", state="Error", error=damaged.reason)


def swarm_masters(machines: Sequence[Machine]) -> dict[str, str]:
    """Names of cluster masters by their discovery URL."""
    swarms = ((machine.swarm, machine.name) for machine in machines)
    return {swarm.discovery: name for swarm, name in swarms if swarm.master}


def swarm_name(machine: Machine, masters: dict[str, str]) -> str:
    """What the SWARM column says."""
    swarm = machine.swarm
    if swarm.master:
        return f"{machine.name} (master)"
    return masters.get(swarm.discovery, "") if swarm.discovery else ""


def _row(outcome: Outcome[Machine, Row], masters: dict[str, str]) -> Row:
    if outcome.value is not None:
        outcome.value.seconds = outcome.seconds
        return outcome.value
    row = _blank(outcome.item, masters)
    row.state = "Error" if outcome.finished else "Timeout"
    row.error = str(outcome.error or "")
    row.seconds = outcome.seconds
    return row


def _blank(machine: Machine, masters: dict[str, str]) -> Row:
    return Row(
        machine.name,
        machine.record.driver,
        swarm=swarm_name(machine, masters),
        labels=machine.engine.labels,
    )


def _ask(machine: Machine, docker_host: str, masters: dict[str, str], timeout: float) -> Row:
    row = _blank(machine, masters)
    row.error = machine.unfinished
    driver = machine.driver(timeout=timeout)
    try:
        row.state = driver.state().value
        if row.state == "Running":
            row.url = driver.engine_url()
    except MachineError as error:
        row.state, row.error = "Error", row.error or str(error)
        return row
    if row.url:
        row.active_host = row.url == docker_host
        row.active_swarm = machine.swarm.master and _manager_url(machine, row.url) == docker_host
    return row


def _ask_engine(machine: Machine, row: Row, timeout: float) -> None:
    from pymachine.machine.certs.check import check_engine
    from pymachine.machine.certs.expiry import warning

    try:
        row.docker_version = check_engine(row.url, machine.directory, timeout).version
        row.error = row.error or warning(machine.directory)
    except MachineError as error:
        row.error = row.error or str(error)


def _manager_url(machine: Machine, engine_url: str) -> str:
    from pymachine.machine.bundle.connection import swarm_url

    return swarm_url(engine_url, machine.swarm.host)
