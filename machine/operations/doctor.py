"""Look at all that machines need: the store, the programs on this computer, each driver's own needs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pymachine.drivers import registry
from pymachine.drivers.base import Finding
from pymachine.machine.certs.expiry import expiry
from pymachine.machine.errors import MachineError
from pymachine.machine.lifetime import timer
from pymachine.machine.machine import Machine
from pymachine.machine.operations.observe import load_all
from pymachine.store.base import Store
from pymachine.store.health import examine

PROGRAMS = (
    ("docker", "the docker command talks to machines", "https://docs.docker.com/engine/install/binaries/"),
    ("ssh", "pymachine ssh logs into machines by it", "sudo apt-get install openssh-client"),
)
"""What is used when it is there, and where to get it."""


@dataclass(frozen=True, slots=True)
class Area:
    """What was found in one place."""

    title: str
    findings: tuple[Finding, ...]
    counts: bool = True
    """Whether a problem there is one for this user: nobody has to have what an unused driver needs."""

    @property
    def failed(self) -> bool:
        """Whether there is a problem that counts."""
        return self.counts and any(finding.level == "problem" for finding in self.findings)


def examine_all(store: Store, drivers: Sequence[str], default_driver: str) -> list[Area]:
    """Look at everything; with *drivers*, of all drivers at these. Nothing is changed, and no machine is asked."""
    machines, _ = load_all(store)
    used = {machine.record.driver for machine in machines} | {default_driver}
    areas = [
        Area(f"store {store.location}", tuple(_of_store(store, machines)) or (Finding("ok", "nothing is amiss"),)),
        Area("programs", tuple(_of_programs())),
    ]
    for name in drivers or registry.names():
        areas.append(Area(f"driver {name}", tuple(_of_driver(name)), counts=bool(drivers) or name in used))
    return areas


def _of_store(store: Store, machines: Sequence[Machine]) -> Iterator[Finding]:
    for ailment in examine(Path(store.location)) if store.location else ():
        yield Finding(ailment.level, ailment.text, ailment.remedy)
    yield from _damaged(store)
    for machine in machines:
        if machine.unfinished:
            yield Finding("warning", f'machine "{machine.name}": {machine.unfinished}')
    yield from _certificates(store, machines)
    yield from _expiring(store)


def _damaged(store: Store) -> Iterator[Finding]:
    _, damaged = load_all(store)
    for record in damaged:
        text = f'the record of machine "{record.name}" cannot be used: {record.reason}'
        yield Finding("problem", text, f'restore it, or remove it: "pymachine rm -f {record.name}"')


def _certificates(store: Store, machines: Sequence[Machine]) -> Iterator[Finding]:
    """Those that have expired or will soon; once for the store's own, which every machine has a copy of."""
    if store.location and (Path(store.location) / "certs").is_dir():
        first = expiry(store.certs_dir())
        if first is not None and first.due():
            yield Finding("warning", f"{first.describe()}", "the next create, env or start renews it")
    for machine in machines:
        first = expiry(machine.directory)
        if first is not None and first.due() and first.what == "server certificate":
            text = f'machine "{machine.name}": {first.describe()}'
            yield Finding("warning", text, f"pymachine regenerate-certs {machine.name}")


def _expiring(store: Store) -> Iterator[Finding]:
    """Who removes machines whose time is over."""
    if not store.expiring():
        return
    found = timer.in_place(store, os.environ)
    if found is None:
        text = "machines that expire are removed by a process, after a reboot by the next command that uses the store"
        yield Finding("warning", text, "run some command at each start: with cron, @reboot pymachine ls -q")
    elif not found.lingers:
        text = "machines that expire are removed by a timer of yours, which runs only while you are logged in"
        yield Finding("warning", text, "loginctl enable-linger")
    else:
        yield Finding("ok", f"machines that expire are removed by the timer {timer.unit(store.location)}")


def _of_programs() -> Iterator[Finding]:
    for program, purpose, remedy in PROGRAMS:
        found = shutil.which(program)
        if found:
            yield Finding("ok", f"{program} is {found}")
        else:
            yield Finding("warning", f"there is no {program}: {purpose}", remedy)


def _of_driver(name: str) -> list[Finding]:
    try:
        return registry.load(name).doctor()
    except MachineError as error:
        return [Finding("problem", str(error), error.hint)]
