"""Which machine ``$DOCKER_HOST`` points at."""

from __future__ import annotations

from collections.abc import Sequence

from pymachine.machine.errors import MachineError
from pymachine.machine.machine import Machine
from pymachine.machine.names import natural
from pymachine.machine.operations.observe import Row, observe


def active(machines: Sequence[Machine], docker_host: str, *, timeout: float) -> str:
    """The name of the active machine; raises `MachineError` when there is none, or when that is not known."""
    rows: list[Row] = observe(machines, docker_host, timeout=timeout, engines=False) if docker_host else []
    found = [row.name for row in rows if row.active != "-"]
    if found:
        return min(found, key=natural)
    if any(row.state == "Timeout" for row in rows):
        raise MachineError("Error getting active host: timeout")
    raise MachineError("No active host found")
