"""Give a local machine other limits: they are put on its control groups when it starts next."""

from __future__ import annotations

import os
from typing import Any

from pymachine.drivers.local.options import parse_memory
from pymachine.machine.errors import DriverError, InvalidOption


def resized(*, cpus: int, memory: str, disk: str) -> dict[str, Any]:
    """The options that change. Raises `InvalidOption`, and `DriverError` for a disk, which such a machine has not."""
    if disk:
        raise DriverError("local machines have no disks of their own: they use this computer's")
    if cpus > (most := os.cpu_count() or 1):
        raise InvalidOption(f"--cpus: {cpus} is more than the {most} of this computer")
    if memory:
        parse_memory(memory)
    return ({"cpus": cpus} if cpus else {}) | ({"memory": memory} if memory else {})
