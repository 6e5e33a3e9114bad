"""States of many machines at once, for drivers that can ask for many by one call (`BatchStates`)."""

from __future__ import annotations

import functools
import threading
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import cast

from pymachine.drivers.base import BatchStates, Driver, Seen
from pymachine.machine.errors import MachineError
from pymachine.machine.machine import Machine


@functools.cache
def _batched(kind: type[Driver]) -> bool:
    """Asked once for a class, since comparing with a protocol takes 50 µs, and `ls` asks for every machine."""
    return issubclass(kind, BatchStates)


class _Batch:
    """Machines that are asked for together, and what was answered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answer: Mapping[str, Seen] | MachineError | None = None
        self.drivers: list[Driver] = []

    def seen(self, machine: Machine) -> Seen | None:
        """The first thread to ask for one of them asks for all; the others wait for its answer."""
        with self._lock:
            if self._answer is None:
                self._answer = self._ask()
        if isinstance(self._answer, MachineError):
            raise self._answer
        return self._answer.get(machine.record.id)

    def _ask(self) -> Mapping[str, Seen] | MachineError:
        try:
            return cast(BatchStates, self.drivers[0]).states(self.drivers)
        except MachineError as error:
            return error


class Batches:
    """What `observe` asks of drivers: one thread for each batch at a time, so that none waits for another batch."""

    def __init__(self, machines: Sequence[Machine], timeout: float) -> None:
        self._timeout = timeout
        self._machines: dict[str, list[Machine]] = defaultdict(list)
        for machine in machines:
            self._machines[machine.record.driver].append(machine)
        self._lock = threading.Lock()
        self._batches: dict[str, Mapping[str, _Batch]] = {}
        """For each driver that was asked for, by machine id."""

    def seen(self, machine: Machine, driver: Driver) -> Seen | None:
        """The machine as its driver sees it; ``None`` when it has to be asked by itself."""
        if not _batched(type(driver)):
            return None
        name = machine.record.driver
        with self._lock:
            if name not in self._batches:
                self._batches[name] = self._grouped(self._machines[name])
        batch = self._batches[name].get(machine.record.id)
        return batch.seen(machine) if batch else None

    def _grouped(self, machines: Sequence[Machine]) -> Mapping[str, _Batch]:
        """Those that cannot even be asked for are left out: their errors are their own."""
        batches: dict[Hashable, _Batch] = defaultdict(_Batch)
        found: dict[str, _Batch] = {}
        for machine in machines:
            try:
                driver = machine.driver(timeout=self._timeout)
                batch = batches[cast(BatchStates, driver).batch()]
            except MachineError:
                continue
            batch.drivers.append(driver)
            found[machine.record.id] = batch
        return found
