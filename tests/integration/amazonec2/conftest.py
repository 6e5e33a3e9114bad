"""EC2 behind the fault-injecting front, in a network with no way out; nothing here can reach the real AWS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pymachine.drivers.amazonec2 import driver, reboot, waiting
from support.ec2.lab import Lab, lab


@pytest.fixture(scope="session")
def running_lab() -> Iterator[Lab]:
    with lab() as running:
        yield running


@pytest.fixture
def ec2(running_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """An empty account, without faults; the test is in its network."""
    for name, value in running_lab.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(driver, "SETTLE_SECONDS", 0.5)
    monkeypatch.setattr(reboot, "ASK_SECONDS", 0.1)  # most instances here are no hosts
    monkeypatch.setattr(waiting, "FIRST_PAUSE", 0.02)  # moto answers at once
    with running_lab.namespace.entered():
        running_lab.set(reset=True)
        yield running_lab
