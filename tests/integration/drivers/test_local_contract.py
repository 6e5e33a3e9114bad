"""The local driver keeps the contract of all drivers, with real machines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.drivers.base import Context, Driver
from pymachine.drivers.local import LocalDriver
from pymachine.drivers.local.options import Options
from pymachine.drivers.testing import DriverContract
from pymachine.drivers.testing.contract import MOST_MOMENTS


@pytest.mark.root
@pytest.mark.slow
class TestLocal(DriverContract):
    """Every machine is booted for real."""

    def _moments(self) -> Iterator[int]:
        """Every third; ``crash/test_local.py`` kills the program at all of them, and at all between them."""
        yield from range(1, MOST_MOMENTS, 3)

    @pytest.fixture(autouse=True)
    def _root(self, local_root: Path) -> None:
        """In a local root of its own."""

    def new_driver(self, context: Context) -> Driver:
        return LocalDriver(Options(memory="512m", cpus=1), context)
