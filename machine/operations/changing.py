"""What all operations that change an existing machine share: the lease, a fresh record, the wait for a state."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pymachine.machine.errors import MachineError
from pymachine.machine.machine import Machine, Several
from pymachine.machine.operations.deadline import Deadline
from pymachine.machine.operations.together import together

if TYPE_CHECKING:
    from pymachine.drivers.base import Driver

TIMEOUT = 300.0
"""Seconds that one operation on one machine may take."""
PAUSE = 0.1
"""Seconds between two looks at the state."""


@contextlib.contextmanager
def changing(machine: Machine, purpose: str, *, finished: bool = True, wait: float = 0) -> Iterator[None]:
    """The sole right to change *machine* while the block runs, with its record as it is now.

    With *finished*, a machine whose create or remove has not ended is refused. Another holder is waited for *wait*
    seconds.
    """
    with machine.store.lease(machine.name, purpose, wait=wait):
        machine.record = machine.store.load(machine.name)
        if finished and not machine.ready:
            raise MachineError(f'Cannot {purpose} machine "{machine.name}": {machine.unfinished}')
        yield


def wait_for_state(driver: Driver, state: str, deadline: Deadline, stage: str) -> None:
    """Return once the driver says *state*."""
    while (seen := driver.state().value) != state:
        left = deadline.left(stage, last_error=f"its state is {seen or 'not known'}")
        time.sleep(min(PAUSE, left))


def each(operation: Callable[[Machine], object], machines: list[Machine]) -> None:
    """Run *operation* on every machine, in parallel when there are several; raises all errors as one."""
    if len(machines) == 1:
        operation(machines[0])
        return
    outcomes = together(operation, machines)
    errors = [_as_machine_error(outcome.error) for outcome in outcomes if outcome.error is not None]
    if errors:
        raise Several(errors)


def _as_machine_error(error: Exception) -> MachineError:
    """An error that is none of ours is a defect: let it through with its traceback."""
    if isinstance(error, MachineError):
        return error
    raise error
