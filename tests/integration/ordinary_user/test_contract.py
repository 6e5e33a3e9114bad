"""The driver of users without root keeps the contract too, also when client and helper are killed half-way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pymachine.drivers.base import Context, Driver
from pymachine.drivers.local import driver as roots
from pymachine.drivers.local.options import Options
from pymachine.drivers.local.privileged.proxy import LocalDriver
from pymachine.drivers.testing import DriverContract
from pymachine.drivers.testing.contract import MOST_MOMENTS

pytestmark = pytest.mark.root


@pytest.mark.usefixtures("root")
class TestContract(DriverContract):
    """As root, whom sudo asks nothing; what differs for others is in test_local.py."""

    timeout = 60.0

    def _moments(self) -> Iterator[int]:
        """Some of them: test_crash.py kills client and helper at all, and root's driver has a contract test too."""
        yield from range(2, MOST_MOMENTS, 8)

    def new_driver(self, context: Context) -> Driver:
        return LocalDriver(Options(), context)

    def leftovers(self, driver: Driver) -> list[str]:
        """As root's own driver sees it."""
        return roots.LocalDriver(Options(), driver.context).leftovers()
