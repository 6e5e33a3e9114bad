"""What a driver finds outside for machines that no record knows: listed, told to programs, removed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pymachine.drivers import registry
from pymachine.drivers.base import Belonging
from pymachine.machine.cli.app import run
from pymachine.machine.operations.create import Request, create
from pymachine.machine.operations.report import Silent
from pymachine.store.file import FileStore
from support.fakedriver import FakeDriver, World
from support.schemas import check


class Collecting(FakeDriver):
    """A driver whose outside is a list."""

    outside: list[Belonging] = []

    def belongings(self, store_id: str) -> Sequence[Belonging]:
        return [thing for thing in self.outside if store_id in ("", thing.store_id)]

    def discard(self, things: Sequence[Belonging]) -> None:
        for thing in things:
            self.outside.remove(thing)


@pytest.fixture
def outside(store: FileStore, world: World, monkeypatch: pytest.MonkeyPatch) -> list[Belonging]:
    """Something of machine m, something of one that no record knows, and something of another store."""
    known = create(store, Request("m", "fake"), Silent()).record.id
    things = [
        Belonging("instance", "i-1", known, "m", store.id),
        Belonging("instance", "i-2", "gone", "lost", store.id),
        Belonging("key pair", "k-3", "theirs", "", "another store"),
    ]
    monkeypatch.setattr(registry, "load", lambda name: Collecting)
    monkeypatch.setattr(Collecting, "outside", things)
    return things


def test_what_is_left_is_told_to_programs(
    outside: list[Belonging], store: FileStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["-s", store.location, "gc", "-d", "fake", "-n", "--format", "json"]) == 0
    assert [(row["Id"], row["Machine"], row["Region"]) for row in check("gc", capsys.readouterr().out)] == [
        ("i-2", "lost", "")
    ]
    assert run(["-s", store.location, "gc", "-d", "fake", "-n", "--all-stores", "--format", "json"]) == 0
    assert [row["Id"] for row in check("gc", capsys.readouterr().out)] == ["i-2", "k-3"]
    assert len(outside) == 3


def test_only_a_list_can_be_for_programs(
    outside: list[Belonging], store: FileStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["-s", store.location, "gc", "-d", "fake", "-y", "--format", "json"]) == 2
    assert capsys.readouterr().err == "--format json goes with --dry-run only\n"
    assert len(outside) == 3


def test_what_no_record_knows_is_removed(
    outside: list[Belonging], store: FileStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["-s", store.location, "gc", "-d", "fake", "-y"]) == 0

    assert capsys.readouterr().out.endswith("Removed 1.\n")
    assert [thing.id for thing in outside] == ["i-1", "k-3"]
