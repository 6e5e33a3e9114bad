"""Machines whose driver asks for many at once: batches are nothing to each other."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence

import pytest

from pymachine.drivers import registry
from pymachine.drivers.base import Driver, Seen, State
from pymachine.machine.errors import DriverError
from pymachine.machine.operations.observe import load_all, observe
from pymachine.store.file import FileStore
from support.fakedriver import FakeDriver, World
from support.records import record


class Batched(FakeDriver):
    """Batches are sizes; one of size 2 waits, one of size 3 fails, and what has size 4 cannot even be asked for."""

    asked: list[list[str]]
    goes_on: threading.Event

    def batch(self) -> int:
        if self.options.size == 4:
            raise DriverError("there is no such profile")
        return int(self.options.size)

    @classmethod
    def states(cls, drivers: Sequence[Driver]) -> Mapping[str, Seen]:
        cls.asked.append(sorted(driver.context.name for driver in drivers))
        size = drivers[0].options.size
        if size == 2:
            assert cls.goes_on.wait(60)
        if size == 3:
            raise DriverError("the region burns")
        return {driver.context.machine_id: Seen(State.RUNNING) for driver in drivers if driver.context.name != "new"}

    def state(self) -> State:
        self.batch()
        return State.STOPPED


@pytest.fixture
def batched(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Batched]]:
    monkeypatch.setattr(registry, "load", lambda name: Batched)
    Batched.asked, Batched.goes_on = [], threading.Event()
    yield Batched
    Batched.goes_on.set()


def test_one_that_waits_or_fails_or_cannot_be_asked_holds_up_no_other(store: FileStore, batched: type[Batched]) -> None:
    for name, size in (("a1", 1), ("a2", 1), ("new", 1), ("b1", 2), ("b2", 2), ("c", 3), ("d", 4)):
        store.create(record(name, driver="fake", options={"size": size}, phase="ready"))

    rows = {row.name: row for row in observe(load_all(store)[0], "", timeout=2, engines=False)}

    states = {name: row.state for name, row in rows.items()}
    assert states.pop("new") == "Stopped"  # which was left out
    assert set(states.values()) == {"Running", "Timeout", "Error"}
    for wanted, names in {"Running": ("a1", "a2"), "Timeout": ("b1", "b2"), "Error": ("c", "d")}.items():
        assert [states[name] for name in names] == [wanted, wanted]
    assert (rows["c"].error, rows["d"].error) == ("the region burns", "there is no such profile")
    assert sorted(batched.asked) == [["a1", "a2", "new"], ["b1", "b2"], ["c"]]
