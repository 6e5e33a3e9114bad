"""The states of all machines of a connection by one call, or by two when some are off, however many there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymachine.drivers.base import Driver, Seen, State
from pymachine.drivers.libvirt import domains
from pymachine.drivers.libvirt.connection import connect, libvirt, told


def seen(uri: str, drivers: Sequence[Driver]) -> Mapping[str, Seen]:
    """By machine id. Raises `MachineError` when the connection cannot be opened or breaks."""
    connection = connect(uri)
    with told("asking for the machines' states"):
        states = _states(connection, [driver.context.machine_id for driver in drivers])
    return {driver.context.machine_id: _seen(driver, states.get(driver.context.machine_id)) for driver in drivers}


def _states(connection: Any, machine_ids: Sequence[str]) -> Mapping[str, State]:
    """By machine id, of those that have a domain (libvirt, ``virConnectGetAllDomainStats``)."""
    module = libvirt()
    found = connection.getAllDomainStats(module.VIR_DOMAIN_STATS_STATE)
    numbers = {domain.UUIDString(): facts["state.state"] for domain, facts in found}
    ours = {key: numbers[key] for key in machine_ids if key in numbers}
    kept = []
    if module.VIR_DOMAIN_SHUTOFF in ours.values():
        kept = connection.listAllDomains(module.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)
    saved = {domain.UUIDString() for domain in kept}
    return {key: domains.named(number, saved=key in saved) for key, number in ours.items()}


def _seen(driver: Driver, state: State | None) -> Seen:
    address = driver.context.resources.get("address")
    if state is None:
        return Seen(State.ERROR, problem="its domain was undefined by other means") if address else Seen(State.NONE)
    return Seen(state, url=driver.engine_url() if state is State.RUNNING and address else "")
