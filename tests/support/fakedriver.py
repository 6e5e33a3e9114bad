"""A driver whose faults can be chosen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from pymachine.drivers import registry
from pymachine.drivers.base import Driver, Features, State
from pymachine.drivers.options import option
from pymachine.machine.errors import MachineError
from pymachine.machine.ssh.base import SSHEndpoint


@dataclass
class World:
    """What exists outside, and what fails next."""

    hosts: dict[str, State] = field(default_factory=dict)
    """By machine id."""
    address: str = "10.0.0.2"
    provisions: bool = False
    failing: dict[str, MachineError] = field(default_factory=dict)
    """By verb; raised once the verb has done its work half."""
    calls: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class FakeOptions:
    """One option."""

    size: int = option(1, "size", env="FAKE_SIZE")


class FakeDriver(Driver):
    """Hosts in a dictionary."""

    name = "fake"
    description = "for tests"
    Options = FakeOptions
    world = World()

    @property
    def features(self) -> Features:  # type: ignore[override]
        """As the world says."""
        return Features(provisions=self.world.provisions)

    def pre_create_check(self) -> None:
        self._do("check")

    def create(self) -> None:
        self.context.journal.begin("create.host")
        self.world.hosts[self.context.machine_id] = State.RUNNING
        self._do("create")
        self.context.resources["address"] = self.world.address
        self.context.save()
        self.context.journal.complete("create.host")

    def start(self) -> None:
        self._set("start", State.RUNNING)

    def stop(self) -> None:
        self._set("stop", State.STOPPED)

    def kill(self) -> None:
        self._set("kill", State.STOPPED)

    def remove(self) -> None:
        self._do("remove")
        self.world.hosts.pop(self.context.machine_id, None)

    def state(self) -> State:
        self._raise("state")
        return self.world.hosts.get(self.context.machine_id, State.NONE)

    def address(self) -> str:
        return self.world.address

    def ssh_endpoint(self) -> SSHEndpoint:
        return SSHEndpoint(self.world.address)

    def _set(self, verb: str, state: State) -> None:
        self._do(verb)
        self.world.hosts[self.context.machine_id] = state

    def _do(self, verb: str) -> None:
        self.world.calls.append(verb)
        self._raise(verb)

    def _raise(self, verb: str) -> None:
        if verb in self.world.failing:
            raise self.world.failing[verb]


def register(monkeypatch: pytest.MonkeyPatch, driver: type[FakeDriver] = FakeDriver) -> World:
    """Let there be a driver ``fake``, in an empty world; *driver* may have more powers."""
    real = registry.load

    def load(name: str) -> Any:
        return driver if name == "fake" else real(name)

    monkeypatch.setattr(registry, "load", load)
    monkeypatch.setattr(FakeDriver, "world", World())
    return FakeDriver.world
