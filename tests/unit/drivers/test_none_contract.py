"""Driver ``none`` keeps the contract, as far as it promises anything."""

from __future__ import annotations

from pymachine.drivers.base import Context, Driver
from pymachine.drivers.none import NoneDriver, Options
from pymachine.drivers.testing import DriverContract


class TestNone(DriverContract):
    """No host is made, so nothing is contacted."""

    def new_driver(self, context: Context) -> Driver:
        return NoneDriver(Options(url="tcp://127.0.0.1:2376"), context)
