"""The driver's contract, over HTTP."""

from __future__ import annotations

import pytest

from pymachine.drivers.amazonec2 import AmazonEC2Driver, driver
from pymachine.drivers.base import Context, Driver
from pymachine.drivers.testing import DriverContract
from support.ec2.lab import Lab

pytestmark = pytest.mark.root


class TestContract(DriverContract):
    keeps_address = False

    @pytest.fixture(autouse=True)
    def _lab(self, ec2: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(driver, "SETTLE_SECONDS", 0.1)
        self.lab = ec2

    def new_driver(self, context: Context) -> Driver:
        options = AmazonEC2Driver.Options(
            endpoint=self.lab.endpoint, address_service=f"{self.lab.endpoint}/checkip", region="us-east-1"
        )
        return AmazonEC2Driver(options, context)
