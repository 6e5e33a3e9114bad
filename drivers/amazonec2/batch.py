"""The states of many machines of one account and region by few calls: one for as many as a filter takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pymachine.drivers.amazonec2 import instances
from pymachine.drivers.amazonec2.gathering import MOST
from pymachine.drivers.base import Seen, State
from pymachine.machine.errors import MachineError

if TYPE_CHECKING:
    from pymachine.drivers.amazonec2.driver import AmazonEC2Driver


def states(drivers: Sequence[AmazonEC2Driver]) -> Mapping[str, Seen]:
    """By machine id; those that have no instance on record are left out."""
    asked = [driver for driver in drivers if driver.context.resources.get("instance")]
    seen: dict[str, Seen] = {}
    for start in range(0, len(asked), MOST):
        seen |= _page(asked[start : start + MOST])
    return seen


def _page(drivers: Sequence[AmazonEC2Driver]) -> Mapping[str, Seen]:
    ids = [str(driver.context.resources["instance"]) for driver in drivers]
    try:
        found = instances.by_ids(drivers[0].cloud, ids)
    except MachineError as error:
        return {driver.context.machine_id: Seen(State.ERROR, problem=str(error)) for driver in drivers}
    return {
        driver.context.machine_id: _seen(driver, found.get(identity))
        for driver, identity in zip(drivers, ids, strict=True)
    }


def _seen(driver: AmazonEC2Driver, instance: instances.Instance | None) -> Seen:
    state = instances.STATES[instances.name_of_state(instance)]
    problem = "" if state is not State.ERROR else f"the instance was terminated: {instances.reason(instance)}"
    driver.saw(instance)
    try:
        url = driver.engine_url() if state is State.RUNNING else ""
    except MachineError as error:
        return Seen(state, problem=str(error))
    return Seen(state, url=url, problem=problem)
