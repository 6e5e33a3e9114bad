"""A machine: its record, its driver and its files, as operations and the command line use them."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pymachine.machine.errors import DriverError, InvalidName, MachineError, MachineNotFound
from pymachine.machine.operations.report import Report, Silent

if TYPE_CHECKING:
    from pymachine.drivers.base import Context, Driver
    from pymachine.machine.config import EngineOptions, SwarmOptions
    from pymachine.store.base import Record, Store

DEFAULT_TIMEOUT = 300.0
"""Seconds that one driver call may wait in all."""
_LOADING = threading.Lock()
"""So that many threads asking at once load a driver once."""


class Machine:
    """One machine of a store. Cheap to make: the driver's module is imported when the driver is first asked for."""

    def __init__(self, store: Store, record: Record) -> None:
        self.store = store
        self.record = record

    @classmethod
    def load(cls, store: Store, name: str) -> Machine:
        """The machine called *name*; raises `MachineNotFound` or `RecordDamaged`."""
        try:
            return cls(store, store.load(name))
        except InvalidName:  # what cannot be a name is nobody's name
            raise MachineNotFound(name) from None

    @property
    def name(self) -> str:
        """The machine's name, unique in its store."""
        return self.record.name

    @property
    def directory(self) -> Path:
        """The machine's files: SSH key, certificates (``ca.pem``, ``cert.pem``, ``key.pem``…)."""
        return self.store.machine_dir(self.name)

    @property
    def engine(self) -> EngineOptions:
        """What the engine was asked to be."""
        from pymachine.machine.config import EngineOptions

        return EngineOptions.from_json(self.record.engine)

    @property
    def swarm(self) -> SwarmOptions:
        """What part in a cluster the machine was asked to take."""
        from pymachine.machine.config import SwarmOptions

        return SwarmOptions.from_json(self.record.swarm)

    @property
    def ready(self) -> bool:
        """Whether create has ended well and remove has not begun."""
        return self.record.phase == "ready"

    @property
    def unfinished(self) -> str:
        """Why the machine is not `ready`, and what to do; empty when it is."""
        if self.record.phase == "creating":
            return f'create has not finished: run the same create again, or "pymachine rm {self.name}"'
        if self.record.phase == "removing":
            return f'remove has not finished: run "pymachine rm {self.name}" again'
        return ""

    def save(self) -> None:
        """Write the record to the store, durably."""
        self.store.save(self.record)

    def driver(self, report: Report | None = None, *, timeout: float = DEFAULT_TIMEOUT) -> Driver:
        """The machine's driver, built anew; its progress goes to *report* as ``(NAME) text`` notes."""
        from pymachine.drivers import registry
        from pymachine.drivers.options import build

        with _LOADING:
            kind = _driver_class(registry.load, self.record.driver)
        options = build(kind.name, kind.Options, self._known_options(kind.Options), env={})
        return kind(options, self._context(report or Silent(), timeout))

    def _known_options(self, options: type[Any]) -> dict[str, Any]:
        import dataclasses

        names = {field.name for field in dataclasses.fields(options)}
        return {name: value for name, value in self.record.options.items() if name in names}

    def _context(self, report: Report, timeout: float) -> Context:
        from pymachine.drivers.base import Context

        return Context(
            machine_id=self.record.id,
            name=self.name,
            store_id=self.store.id,
            directory=self.directory,
            resources=self.record.resources,
            save=self.save,
            journal=self.store.journal(self.name),
            report=self._noting(report),
            timeout=timeout,
            expires_at=self.record.expires_at,
        )

    def _noting(self, report: Report) -> Callable[[str], None]:
        return lambda text: report.note(f"({self.name}) {text}")

    def state(self) -> str:
        """The state now, asked of the outside."""
        return self.driver().state().value

    def address(self) -> str:
        """The address of a running machine."""
        driver = self.driver()
        self._must_run(driver)
        return driver.address()

    def url(self) -> str:
        """The engine's URL of a running machine."""
        driver = self.driver()
        self._must_run(driver)
        return driver.engine_url()

    def _must_run(self, driver: Driver) -> None:
        if driver.state().value != "Running":
            raise DriverError("Host is not running")

    def engine_version(self, *, timeout: float) -> str:
        """The version of the running engine, asked over TLS, or by SSH where a connection is open."""
        from pymachine.machine.certs.check import check_engine
        from pymachine.machine.context.opened import version_if_open

        return version_if_open(self.directory) or check_engine(self.url(), self.directory, timeout).version


@functools.cache
def _driver_class(load: Callable[[str], type[Driver]], name: str) -> type[Driver]:
    """Looking through all installed packages' entry points takes milliseconds; `ls` asks for every machine."""
    return load(name)


def open_machines(store: Store, names: list[str]) -> list[Machine]:
    """Load all of *names* before anything is done with one; raises one error that lists every failure."""
    machines: list[Machine] = []
    errors: list[MachineError] = []
    for name in dict.fromkeys(names):
        try:
            machines.append(Machine.load(store, name))
        except MachineError as error:
            errors.append(error)
    if errors:
        raise Several(errors)
    return machines


class Several(MachineError):
    """Several machines failed, each for its own reason: one line each."""

    def __init__(self, errors: list[MachineError]) -> None:
        super().__init__(os.linesep.join(str(error) for error in errors))
        self.errors = errors
        self.hint = "\n".join(dict.fromkeys(error.hint for error in errors if error.hint))
        self.exit_code = max(error.exit_code for error in errors) if len(errors) == 1 else 1
