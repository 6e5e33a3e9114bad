"""States of many machines at once, for drivers that can ask for many by one call (`BatchStates`)."""

from __future__ import annotations

import functools
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence

from pymachine.drivers.base import BatchStates, Driver, Seen
from pymachine.machine.errors import MachineError
from pymachine.machine.machine import Machine


@functools.cache
def _batched(kind: type[Driver]) -> bool:
    """Asked once for a class, since comparing with a protocol takes 50 µs, and `ls` asks for every machine."""
    return issubclass(kind, BatchStates)


class Batches:
    """What `observe` asks of drivers. The first thread to ask for a machine of a driver asks for all of that driver's;
    the others wait for its answer."""

    def __init__(self, machines: Sequence[Machine], timeout: float) -> None:
        self._timeout = timeout
        self._machines: dict[str, list[Machine]] = defaultdict(list)
        for machine in machines:
            self._machines[machine.record.driver].append(machine)
        self._locks = {name: threading.Lock() for name in self._machines}
        self._answers: dict[str, Mapping[str, Seen] | MachineError] = {}

    def seen(self, machine: Machine, driver: Driver) -> Seen | None:
        """The machine as its driver sees it; ``None`` when it has to be asked by itself."""
        if not _batched(type(driver)):
            return None
        assert isinstance(driver, BatchStates)
        name = machine.record.driver
        with self._locks[name]:
            if name not in self._answers:
                self._answers[name] = self._ask(driver, self._machines[name])
        answer = self._answers[name]
        if isinstance(answer, MachineError):
            raise answer
        return answer.get(machine.record.id)

    def _ask(self, driver: BatchStates, machines: Sequence[Machine]) -> Mapping[str, Seen] | MachineError:
        try:
            return driver.states([machine.driver(timeout=self._timeout) for machine in machines])
        except MachineError as error:
            return error
