"""Powers that only some drivers have: who has none says so; who has one changes the record with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pymachine.drivers import registry
from pymachine.drivers.base import Snapshot
from pymachine.drivers.options import to_json
from pymachine.machine.cli.app import run
from pymachine.machine.errors import DriverError, InvalidName, InvalidOption
from pymachine.machine.machine import Machine
from pymachine.machine.operations import powers
from pymachine.machine.operations.create import Request, create
from pymachine.machine.operations.report import Silent
from pymachine.store.file import FileStore
from support.fakedriver import FakeDriver, World
from support.schemas import check


class Powerful(FakeDriver):
    """A driver with all powers, over a list of names."""

    kept: list[str] = []

    def snapshots(self) -> list[Snapshot]:
        return [Snapshot(name, "2026-01-01T00:00:00Z", True) for name in self.kept]

    def create_snapshot(self, name: str) -> None:
        self.kept.append(name)

    def restore_snapshot(self, name: str) -> None:
        self.kept.index(name)

    def remove_snapshot(self, name: str) -> None:
        self.kept.remove(name)

    def resize(self, *, cpus: int = 0, memory: str = "", disk: str = "") -> Mapping[str, Any]:
        return {"size": cpus}

    def clone_options(self) -> Mapping[str, Any]:
        return to_json(self.options)

    def clone_resources(self) -> Mapping[str, Any]:
        return {"clone_of": self.context.name}


@pytest.fixture
def machine(store: FileStore, world: World) -> Machine:
    return create(store, Request("m", "fake"), Silent())


@pytest.fixture
def powerful(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(registry, "load", lambda name: Powerful)
    monkeypatch.setattr(Powerful, "kept", [])
    return machine


def test_a_driver_without_the_power_says_so(machine: Machine) -> None:
    for act in (
        lambda: powers.create_snapshot(machine, "s", Silent()),
        lambda: powers.snapshots(machine),
        lambda: powers.resize(machine, Silent(), cpus=2),
        lambda: powers.attach_console(machine, lambda: b"", lambda data: None),
        lambda: powers.clone(machine, "other", Silent(), timeout=5),
    ):
        with pytest.raises(DriverError, match="the driver fake has no such power"):
            act()
    assert machine.store.names() == ["m"]


def test_snapshots_are_told_to_programs(
    powerful: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    powers.create_snapshot(powerful, "before", Silent())
    assert run(["-s", powerful.store.location, "snapshot", "ls", "--format", "json", powerful.name]) == 0

    (found,) = check("snapshot-ls", capsys.readouterr().out)
    assert found["Name"] == "before"


def test_snapshots_come_and_go(powerful: Machine) -> None:
    powers.create_snapshot(powerful, "before", Silent())
    powers.restore_snapshot(powerful, "before", Silent())
    assert [found.name for found in powers.snapshots(powerful)] == ["before"]
    powers.remove_snapshot(powerful, "before", Silent())
    assert powers.snapshots(powerful) == []
    for name in ("", "a b", "../x", "-x"):
        with pytest.raises(InvalidName):
            powers.create_snapshot(powerful, name, Silent())


def test_a_new_size_is_on_record(powerful: Machine) -> None:
    powers.resize(powerful, Silent(), cpus=7)

    assert Machine.load(powerful.store, "m").record.options["size"] == 7
    with pytest.raises(InvalidOption, match="nothing is to be changed"):
        powers.resize(powerful, Silent())


def test_a_clone_begins_with_what_is_to_be_copied(powerful: Machine) -> None:
    copy = powers.clone(powerful, "copy", Silent(), timeout=30)

    assert copy.ready
    assert copy.record.resources["clone_of"] == "m"
    assert copy.record.id != powerful.record.id
    assert copy.record.options == powerful.record.options
