"""What ``ls`` and ``active`` show: every machine asked at once, within one time limit."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pymachine.drivers.base import Driver, Seen, State
from pymachine.machine.errors import CertificateError, InvalidOption, MachineError
from pymachine.machine.machine import Machine
from pymachine.machine.operations.batches import Batches
from pymachine.machine.operations.together import Outcome, together
from pymachine.store.base import Damaged, Store

if TYPE_CHECKING:
    from pymachine.machine.certs.expiry import Expiry

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
    machine: Machine | None = field(default=None, repr=False)
    """``None`` for a damaged record."""

    @property
    def active(self) -> str:
        """``*``, ``* (swarm)`` or ``-``."""
        return "*" if self.active_host else "* (swarm)" if self.active_swarm else "-"

    @property
    def docker(self) -> str:
        """The engine's version, as the table shows it."""
        return f"v{self.docker_version}" if self.docker_version else "Unknown"

    @property
    def expires_at(self) -> str:
        """When the machine is removed by itself (RFC 3339); empty when it is not."""
        return self.machine.record.expires_at if self.machine else ""

    @property
    def certificate(self) -> Expiry | None:
        """Which of the machine's certificates expires first; read when it is asked for."""
        from pymachine.machine.certs.expiry import expiry

        return expiry(self.machine.directory) if self.machine else None


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
    rows = from_records(machines)
    for row, machine in zip(rows, machines, strict=True):
        row.error = machine.unfinished

    batches = Batches(machines, timeout)

    def ask(row: Row) -> None:
        _ask(row, docker_host, timeout, batches)
        if engines and row.url:
            _ask_engine(row, timeout)

    return [_seen(outcome, timeout) for outcome in together(ask, rows, timeout=timeout)]


def row_of_damaged(damaged: Damaged) -> Row:
    """A record that cannot be used, as a row."""
    return Row(damaged.name, "not found", state="Error", error=damaged.reason)


def swarm_masters(machines: Sequence[Machine]) -> dict[str, str]:
    """Names of cluster masters by their discovery URL."""
    swarms = ((machine.record.swarm, machine.name) for machine in machines)
    return {str(swarm.get("discovery") or ""): name for swarm, name in swarms if swarm.get("master")}


def swarm_name(machine: Machine, masters: dict[str, str]) -> str:
    """What the SWARM column says."""
    discovery = str(machine.record.swarm.get("discovery") or "")
    if machine.record.swarm.get("master"):
        return f"{machine.name} (master)"
    return masters.get(discovery, "") if discovery else ""


def _blank(machine: Machine, masters: dict[str, str]) -> Row:
    return Row(
        machine.name,
        machine.record.driver,
        swarm=swarm_name(machine, masters),
        labels=_labels(machine),
        machine=machine,
    )


def _labels(machine: Machine) -> tuple[str, ...]:
    labels = machine.record.engine.get("labels")
    return tuple(map(str, labels)) if isinstance(labels, list) else ()


def _seen(outcome: Outcome[Row, None], timeout: float) -> Row:
    """The row with what has become known; a copy when somebody may still be writing it."""
    row = outcome.item
    row.seconds = outcome.seconds
    if outcome.error is not None:
        row.state, row.error = "Error", row.error or str(outcome.error)
    if outcome.finished:
        return row
    row = dataclasses.replace(row, seconds=timeout)
    if row.state:  # the driver has answered, only the engine has not
        row.error = row.error or f"the engine does not answer within {timeout:g} s"
    row.state = row.state or "Timeout"
    return row


def _ask(row: Row, docker_host: str, timeout: float, batches: Batches) -> None:
    machine = row.machine
    assert machine is not None
    driver = machine.driver(timeout=timeout)
    try:
        seen = batches.seen(machine, driver) or _by_itself(driver)
        state, row.url, row.error = seen.state.value, seen.url, row.error or seen.problem
    except MachineError as error:
        row.state, row.error = "Error", row.error or str(error)
        return
    if row.url:
        row.active_host = row.url == docker_host
        master = row.swarm.endswith(" (master)")
        row.active_swarm = master and bool(docker_host) and _manager_url(machine, row.url) == docker_host
    row.state = state  # last: a row that has a state is known but for its engine


def _by_itself(driver: Driver) -> Seen:
    state = driver.state()
    return Seen(state, driver.engine_url() if state is State.RUNNING else "")


def _ask_engine(row: Row, timeout: float) -> None:
    from pymachine.machine.certs.check import check_engine
    from pymachine.machine.context.opened import version_if_open

    assert row.machine is not None
    try:
        directory = row.machine.directory
        row.docker_version = version_if_open(directory) or check_engine(row.url, directory, timeout).version
        row.error = row.error or _warning(row)
    except CertificateError as error:
        row.error = row.error or _warning(row) or str(error)
    except MachineError as error:
        row.error = row.error or str(error)


def _warning(row: Row) -> str:
    """What is to be known of the machine's certificates."""
    from urllib.parse import urlsplit

    from pymachine.machine.certs.expiry import warning

    assert row.machine is not None
    return warning(row.machine.directory, urlsplit(row.url).hostname or "")


def _manager_url(machine: Machine, engine_url: str) -> str:
    from pymachine.machine.bundle.connection import swarm_url

    try:
        return swarm_url(engine_url, machine.swarm.manager_port)
    except InvalidOption:  # recorded before it was looked at, or by docker-machine
        return ""
