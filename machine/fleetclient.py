"""What a `pymachine.Client` can do with many machines, and with machines that come or go: a part of it, kept apart."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pymachine.machine.machine import Machine
from pymachine.machine.operations.report import reporting

if TYPE_CHECKING:
    from pymachine.machine.events import OnEvent
    from pymachine.machine.fleet.plan import Plan
    from pymachine.machine.operations.create import Request
    from pymachine.machine.operations.dockermachine import Import
    from pymachine.machine.operations.doctor import Area
    from pymachine.store.base import Store

MAX_PARALLEL = 4
"""Machines that are made or changed at a time."""
TIMEOUT = 600.0
"""Seconds that one machine of a fleet may take."""
RENAME_TIMEOUT = 300.0


class FleetClient(ABC):
    """The part."""

    environ: Mapping[str, str]

    @property
    @abstractmethod
    def store(self) -> Store:
        """The store."""

    @property
    def _default_driver(self) -> str:
        return self.environ.get("MACHINE_DRIVER") or "local"

    def create_many(
        self, requests: Sequence[Request], *, most: int = MAX_PARALLEL, on_event: OnEvent | None = None
    ) -> list[Machine]:
        """Create machines, *most* at a time. One that fails does the others no harm; one error lists all failures."""
        from pymachine.machine.operations.many import create_many

        return create_many(self.store, requests, partial(reporting, on_event=on_event), most=most)

    def plan(self, path: str | os.PathLike[str], *, prune: bool = False) -> Plan:
        """What has to be done so that machines are as the fleet file *path* says. With *prune* machines are removed
        that the fleet has made and names no longer. Raises `FleetError` for a file that is wrong."""
        from pymachine.machine.fleet.document import load_fleet
        from pymachine.machine.fleet.plan import make_plan

        return make_plan(self.store, load_fleet(Path(path), self._default_driver), prune=prune)

    def apply(
        self,
        plan: Plan,
        *,
        replace: bool = False,
        most: int = MAX_PARALLEL,
        timeout: float = TIMEOUT,
        on_event: OnEvent | None = None,
    ) -> None:
        """Do what *plan* says, with *most* machines at a time. Without *replace* nothing is done if a machine would
        have to be removed and made anew. *timeout* counts for each machine."""
        from pymachine.machine.operations.apply import apply, check

        check(plan, replace=replace)
        reports = partial(reporting, on_event=on_event)
        apply(self.store, plan, reports, self.environ, most=most, timeout=timeout)

    def rename(
        self, machine: Machine | str, new: str, *, timeout: float = RENAME_TIMEOUT, on_event: OnEvent | None = None
    ) -> Machine:
        """Give a machine another name, on its host too; its containers keep running."""
        from pymachine.machine.operations.rename import rename

        return rename(self.store, _name(machine), new, reporting(new, on_event), timeout=timeout)

    def export(self, machines: Sequence[Machine | str], path: str | os.PathLike[str], *, passphrase: str = "") -> None:
        """Write machines to an archive (0600) with all that is needed to use them, under a *passphrase* if given."""
        from pymachine.machine.machine import open_machines
        from pymachine.machine.operations.archive import export

        export(open_machines(self.store, [_name(machine) for machine in machines]), Path(path), passphrase=passphrase)

    def import_archive(
        self,
        path: str | os.PathLike[str],
        *,
        passphrase: str = "",
        renamed: Mapping[str, str] | None = None,
        allow_commands: bool = False,
        on_event: OnEvent | None = None,
    ) -> list[Machine]:
        """Add the machines of an archive, under the names that *renamed* gives them. Machines that are reached through
        a command are refused unless *allow_commands*. Raises `ArchiveRefused` for one that cannot be trusted."""
        from pymachine.machine.operations.archive import import_archive

        return import_archive(
            self.store,
            Path(path),
            reporting("", on_event),
            passphrase=passphrase,
            renamed=renamed,
            allow_commands=allow_commands,
        )

    def import_docker_machine(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        names: Sequence[str] = (),
        as_generic: bool = False,
        on_event: OnEvent | None = None,
    ) -> list[Import]:
        """Add the machines of docker-machine's store (``~/.docker/machine``), or those called *names*; what became of
        each. With *as_generic* hosts of unknown drivers are used by SSH."""
        from pymachine.machine.operations.dockermachine import default_path, import_machines

        place = default_path(self.environ) if path is None else Path(path)
        return import_machines(self.store, place, reporting("", on_event), names=tuple(names), as_generic=as_generic)

    def doctor(self, *drivers: str) -> list[Area]:
        """What is missing or amiss: in the store, on this computer, for each driver or for *drivers*."""
        from pymachine.machine.operations.doctor import examine_all

        return examine_all(self.store, drivers, self._default_driver)


def _name(machine: Machine | str) -> str:
    return machine if isinstance(machine, str) else machine.name
