"""The states of many machines by few calls: one a page of machines of one account and region."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pymachine.drivers.amazonec2 import instances
from pymachine.drivers.amazonec2.cloud import Account, Cloud
from pymachine.drivers.amazonec2.gathering import MOST
from pymachine.drivers.base import Seen, State
from pymachine.machine.errors import MachineError

if TYPE_CHECKING:
    from pymachine.drivers.amazonec2.driver import AmazonEC2Driver


def states(drivers: Sequence[AmazonEC2Driver]) -> Mapping[str, Seen]:
    """By machine id; those that have no instance on record are left out."""
    accounts: dict[Account, list[AmazonEC2Driver]] = defaultdict(list)
    for driver in drivers:
        if driver.context.resources.get("instance"):
            accounts[driver.cloud.account].append(driver)
    seen: dict[str, Seen] = {}
    for group in accounts.values():
        for start in range(0, len(group), MOST):
            seen |= _page(group[0].cloud, group[start : start + MOST])
    return seen


def _page(cloud: Cloud, drivers: Sequence[AmazonEC2Driver]) -> Mapping[str, Seen]:
    ids = [str(driver.context.resources["instance"]) for driver in drivers]
    try:
        # A filter and not InstanceIds: one id that is unknown would make an error of the whole call.
        wanted = [{"Name": "instance-id", "Values": ids}]
        found = {instance["InstanceId"]: instance for instance in instances.search(cloud, wanted)}
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
