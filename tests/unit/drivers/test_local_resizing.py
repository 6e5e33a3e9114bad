"""Other limits for a local machine: which are taken, and what the others are told."""

import pytest

from pymachine.drivers.local.resizing import resized
from pymachine.machine.errors import DriverError, InvalidOption


def test_limits_become_options() -> None:
    assert resized(cpus=1, memory="512m", disk="") == {"cpus": 1, "memory": "512m"}
    assert resized(cpus=0, memory="", disk="") == {}


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidOption):
        resized(cpus=100_000, memory="", disk="")
    with pytest.raises(InvalidOption):
        resized(cpus=0, memory="lots", disk="")
    with pytest.raises(DriverError, match="no disks"):
        resized(cpus=0, memory="", disk="10g")
