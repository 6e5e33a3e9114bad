"""What a `pymachine.Client` can do with hosts beyond their life: powers of some drivers, docker contexts, copies, logs.
A part of it, kept apart."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from pymachine.machine.fleetclient import FleetClient
from pymachine.machine.operations.report import reporting

if TYPE_CHECKING:
    from pymachine.drivers.base import Snapshot
    from pymachine.machine.context.dockerstore import DockerContext
    from pymachine.machine.events import OnEvent
    from pymachine.machine.machine import Machine

CLONE_TIMEOUT = 600.0
SNAPSHOT_TIMEOUT = 300.0
LINES = 100
"""Of a log, the last ones."""
Way = Literal["", "tls", "ssh"]
"""How docker reaches a machine; empty: as it does already, else by TLS."""


class HostClient(FleetClient):
    """The part."""

    @abstractmethod
    def _machine(self, machine: Machine | str) -> Machine:
        """The machine, found by its name."""

    # Powers that only some drivers have; where one is missing `DriverError` says so

    def resize(
        self,
        machine: Machine | str,
        *,
        cpus: int = 0,
        memory: str = "",
        disk: str = "",
        instance_type: str = "",
        on_event: OnEvent | None = None,
    ) -> None:
        """Another size; CPUs and memory change when the machine starts next, the type only while it is stopped."""
        from pymachine.machine.operations.powers import change_type, resize

        found = self._machine(machine)
        report = reporting(found.name, on_event)
        if instance_type:
            change_type(found, instance_type, report)
        if cpus or memory or disk or not instance_type:
            resize(found, report, cpus=cpus, memory=memory, disk=disk)

    def clone(
        self, machine: Machine | str, new: str, *, timeout: float = CLONE_TIMEOUT, on_event: OnEvent | None = None
    ) -> Machine:
        """A machine *new* with the settings of a stopped one and a copy of its disk."""
        from pymachine.machine.operations.powers import clone

        return clone(self._machine(machine), new, reporting(new, on_event), timeout=timeout)

    def snapshots(self, machine: Machine | str) -> Sequence[Snapshot]:
        """A machine's snapshots, the oldest first."""
        from pymachine.machine.operations.powers import snapshots

        return snapshots(self._machine(machine))

    def create_snapshot(
        self,
        machine: Machine | str,
        name: str,
        *,
        timeout: float = SNAPSHOT_TIMEOUT,
        on_event: OnEvent | None = None,
    ) -> None:
        """Keep a machine's state as *name*; of a running one with its memory."""
        from pymachine.machine.operations.powers import create_snapshot

        found = self._machine(machine)
        create_snapshot(found, name, reporting(found.name, on_event), timeout=timeout)

    def restore_snapshot(
        self,
        machine: Machine | str,
        name: str,
        *,
        timeout: float = SNAPSHOT_TIMEOUT,
        on_event: OnEvent | None = None,
    ) -> None:
        """Bring the state *name* back; what came after it is lost."""
        from pymachine.machine.operations.powers import restore_snapshot

        found = self._machine(machine)
        restore_snapshot(found, name, reporting(found.name, on_event), timeout=timeout)

    def remove_snapshot(
        self,
        machine: Machine | str,
        name: str,
        *,
        timeout: float = SNAPSHOT_TIMEOUT,
        on_event: OnEvent | None = None,
    ) -> None:
        """Forget the state *name*."""
        from pymachine.machine.operations.powers import remove_snapshot

        found = self._machine(machine)
        remove_snapshot(found, name, reporting(found.name, on_event), timeout=timeout)

    # Docker contexts

    def create_context(
        self, machine: Machine | str, *, way: Way = "", on_event: OnEvent | None = None
    ) -> DockerContext:
        """Make the machine's docker context, or bring it up to date; its engine is asked first."""
        from pymachine.machine.operations.contexts import create

        found = self._machine(machine)
        return create(found, reporting(found.name, on_event), self.environ, kind=way)

    def use(self, machine: Machine | str, *, way: Way = "", on_event: OnEvent | None = None) -> DockerContext:
        """Make docker talk to the machine in every shell, by its context."""
        from pymachine.machine.operations.contexts import use

        found = self._machine(machine)
        return use(found, reporting(found.name, on_event), self.environ, kind=way)

    def unuse(self) -> str:
        """Let docker talk to its default engine again; returns the name of the context that was in use."""
        from pymachine.machine.operations.contexts import unuse

        return unuse(self.environ)

    def remove_context(self, machine: Machine | str) -> None:
        """Remove the machine's docker context; the machine stays."""
        from pymachine.machine.operations.contexts import remove

        remove(self._machine(machine), self.environ)

    # Files and logs

    def copy(
        self, source: str, target: str, *, recursive: bool = False, delta: bool = False, quiet: bool = False
    ) -> int:
        """Copy between ``[user@]machine:path`` and paths of this computer by scp, or with *delta* by rsync, whose exit
        status it returns."""
        from pymachine.machine.operations.copy import copy
        from pymachine.machine.operations.places import parse_place

        places = [parse_place(text, self.store.names().__contains__) for text in (source, target)]
        return copy(self.store, *places, recursive=recursive, delta=delta, quiet=quiet)

    def work_log(self, machine: Machine | str, *, lines: int = LINES) -> Sequence[str]:
        """The last *lines* of what was done to the machine's host, which is not asked."""
        from pymachine.machine.operations.logs import work_done

        return work_done(self._machine(machine), lines)

    def engine_log(self, machine: Machine | str, *, lines: int = LINES, follow: bool = False) -> Iterator[str]:
        """The last *lines* of the engine's journal; with *follow* also what comes, until nobody asks any more."""
        from pymachine.machine.operations.logs import engine_log

        return engine_log(self._machine(machine), lines, follow=follow)
