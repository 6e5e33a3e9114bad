"""Spans of time, and what the watcher does about machines; its process is tested by the real program."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pymachine.machine.errors import DriverError, InvalidOption
from pymachine.machine.lifetime import watcher
from pymachine.machine.lifetime.duration import moment_after, parse_span, until
from pymachine.machine.operations.create import Request, create
from pymachine.machine.operations.report import Silent
from pymachine.store.file import FileStore
from support.fakedriver import FakeDriver, World

QUIET = Silent()
PAST, FUTURE = "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("45m", 2700), ("2h30m", 9000), ("7d", 604800), ("1w1d", 691200), ("1H", 3600), (" 5m ", 300)],
)
def test_spans(text: str, seconds: int) -> None:
    assert parse_span(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "0s", "-5m", "5x", "1.5h", "m", "30m2h", "9999999d", "٣m"])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(InvalidOption, match="no span of time"):
        parse_span(text)


def test_how_long_it_is_until_then() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)

    def shown(**span: float) -> str:
        return until((now + timedelta(**span)).isoformat(), now)

    assert [shown(seconds=59), shown(minutes=5), shown(hours=2, minutes=5, seconds=9), shown(days=3)] == [
        "59s",
        "5m",
        "2h5m",
        "3d",
    ]
    assert [shown(), shown(days=-1), until("", now), until("soon", now)] == ["expired", "expired", "", "unknown"]
    assert until(moment_after(3600)) in ("1h", "59m59s")


@pytest.fixture(autouse=True)
def no_process(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Watchers that would have been started."""
    started: list[str] = []
    monkeypatch.setattr(watcher, "_start", started.append)
    return started


def make(store: FileStore, name: str, expires_at: str) -> None:
    machine = create(store, Request(name, "fake", ttl=3600), QUIET)
    machine.record.expires_at = expires_at
    machine.save()
    store._expiring.add(name, expires_at)


def test_a_watcher_is_started_by_create_and_only_when_there_is_none(
    store: FileStore, world: World, no_process: list[str]
) -> None:
    create(store, Request("a", "fake"), QUIET)
    assert no_process == []
    create(store, Request("b", "fake", ttl=60), QUIET)
    assert no_process == [str(store.root)]
    with store.watch():
        watcher.ensure_watched(store)
    assert len(no_process) == 1


def test_the_driver_is_told_when_the_host_is_to_go(
    store: FileStore, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[datetime] = []
    monkeypatch.setattr(FakeDriver, "expire", lambda driver, at: told.append(at))
    create(store, Request("a", "fake", ttl=60), QUIET)

    assert told == [datetime.fromisoformat(store.load("a").expires_at)]


def test_only_what_is_over_is_removed(store: FileStore, world: World) -> None:
    make(store, "over", PAST)
    make(store, "lives", FUTURE)
    watcher.settle(store, "over")
    watcher.settle(store, "lives")

    assert store.names() == ["lives"]
    assert len(world.hosts) == 1
    assert list(store.expiring()) == ["lives"]


@pytest.mark.parametrize("moment", ["soon", "2020-01-01T00:00:00"])
def test_a_moment_that_cannot_be_read_removes_nothing(store: FileStore, world: World, moment: str) -> None:
    make(store, "a", moment)
    with pytest.raises(ValueError, match=moment):
        watcher.settle(store, "a")

    assert store.names() == ["a"]


def test_the_record_counts_and_not_the_index(store: FileStore, world: World) -> None:
    create(store, Request("forever", "fake"), QUIET)
    for name in ("forever", "gone"):
        store._expiring.add(name, PAST)
        watcher.settle(store, name)

    assert store.names() == ["forever"]
    assert store.expiring() == {}


def test_watching_ends_with_the_last_machine_and_outlives_failures(
    store: FileStore, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(store, "a", PAST)
    make(store, "b", PAST)
    (store.machine_dir("hurt") / "record.json").write_text("{")
    store._expiring.add("hurt", PAST)
    world.failing["remove"] = DriverError("the host has caught fire")
    naps = 0

    def nap(seconds: float) -> None:
        nonlocal naps
        naps += 1
        if naps == 1:
            assert sorted(store.names()) == ["a", "b", "hurt"]
            world.failing.clear()
            monkeypatch.setattr(watcher, "RETRY", 0.0)
            watch._again.clear()
        else:
            store.delete("hurt")

    monkeypatch.setattr(time, "sleep", nap)
    watch = watcher._Watch(store)
    watch.run()

    assert store.names() == []
    assert naps == 2


def test_a_second_watcher_goes_away(store: FileStore, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    make(store, "a", PAST)
    monkeypatch.setattr(watcher, "START", 0.0)
    with store.watch():
        watcher.watch(store)

    assert store.names() == ["a"]


def test_a_store_that_is_not_there_has_nothing_to_watch(tmp_path: Path, no_process: list[str]) -> None:
    store = FileStore(tmp_path / "none")
    watcher.ensure_watched(store)
    watcher.watch(store)

    assert no_process == []
    assert not store.root.exists()
