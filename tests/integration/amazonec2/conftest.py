"""EC2 behind the fault-injecting front, in a network with no way out; nothing here can reach the real AWS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pymachine.drivers.amazonec2 import cloud, driver, reboot, waiting
from support.ec2.clients import Clients
from support.ec2.lab import Lab, lab


@pytest.fixture(scope="session")
def running_lab() -> Iterator[Lab]:
    with lab() as running:
        yield running


@pytest.fixture(scope="session")
def clients() -> Clients:
    return Clients()


@pytest.fixture
def ec2(running_lab: Lab, clients: Clients, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """An empty account, without faults; the test is in its network."""
    for name, value in running_lab.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(driver, "SETTLE_SECONDS", 0.5)
    monkeypatch.setattr(reboot, "ASK_SECONDS", 0.1)  # most instances here are no hosts
    monkeypatch.setattr(waiting, "FIRST_PAUSE", 0.02)  # moto answers at once
    monkeypatch.setattr(waiting, "LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(cloud, "_client", clients)
    with running_lab.namespace.entered():
        running_lab.set(reset=True)
        yield running_lab
