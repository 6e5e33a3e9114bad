"""The states of many machines by one call a connection."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pymachine.drivers.base import Driver, Seen, State
from pymachine.drivers.libvirt import domains
from pymachine.drivers.libvirt.connection import connect, libvirt
from pymachine.machine.errors import MachineError


def by_connection(drivers: Sequence[Driver]) -> Iterator[Mapping[str, Seen]]:
    """By machine id, for each connection; one that cannot be opened is a problem of its own machines only."""
    groups: dict[str, list[Driver]] = defaultdict(list)
    for driver in drivers:
        groups[driver.options.uri].append(driver)
    for uri, ours in groups.items():
        yield _of_one(uri, ours)


def _of_one(uri: str, drivers: Sequence[Driver]) -> Mapping[str, Seen]:
    try:
        connection = connect(uri)
        found = {domain.UUIDString(): domain for domain in connection.listAllDomains()}
        return {driver.context.machine_id: _seen(driver, found.get(driver.context.machine_id)) for driver in drivers}
    except (MachineError, libvirt().libvirtError) as error:
        reason = " ".join(str(error).split())
        return {driver.context.machine_id: Seen(State.ERROR, problem=reason) for driver in drivers}


def _seen(driver: Driver, domain: Any | None) -> Seen:
    if domain is None:
        vanished = driver.context.resources.get("address")
        return Seen(State.ERROR, problem="its domain was undefined by other means") if vanished else Seen(State.NONE)
    state = domains.state(domain)
    reachable = state is State.RUNNING and driver.context.resources.get("address")
    return Seen(state, url=driver.engine_url() if reachable else "")
