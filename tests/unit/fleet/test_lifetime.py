"""Spans of time, and what the watcher does about machines; its process is tested by the real program."""

from __future__ import annotations

import dataclasses
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pymachine.machine.errors import DriverError, InvalidOption, MachineError
from pymachine.machine.lifetime import timer, watcher
from pymachine.machine.lifetime.duration import moment_after, parse_span, until
from pymachine.machine.operations.create import Request, create
from pymachine.machine.operations.remove import remove
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
    monkeypatch.setenv(timer.SWITCH, "no")
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
    told: list[str] = []
    monkeypatch.setattr(FakeDriver, "create", lambda driver: told.append(driver.context.expires_at))
    for name, ttl in (("a", 60), ("b", 0)):
        create(store, Request(name, "fake", ttl=ttl), QUIET)

    assert told == [store.load("a").expires_at, ""]
    assert told[0]


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


class Systemd:
    """A manager whose systemctl only takes notes."""

    def __init__(self, directory: Path) -> None:
        self.calls: list[str] = []
        self.failing = ""
        outer = self

        class Noting(timer.Manager):
            def run(self, *args: str) -> None:
                outer.calls.append(" ".join(args))
                if outer.failing and outer.failing in args:
                    raise MachineError("systemctl: Failed to connect to bus")

        self.manager = Noting(directory / "units", ("systemctl",), "multi-user.target", lingers=True)

    def files(self) -> list[str]:
        return sorted(path.suffix for path in self.manager.directory.glob("*"))


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    systemd = Systemd(tmp_path)
    monkeypatch.setattr(timer, "manager", lambda environ: systemd.manager)
    return systemd


def test_a_timer_takes_the_watchers_place_and_goes_with_the_last_machine(
    store: FileStore, world: World, systemd: Systemd, no_process: list[str]
) -> None:
    for name in ("a", "b"):
        create(store, Request(name, "fake", ttl=3600), QUIET)
    (text,) = (path.read_text() for path in systemd.manager.directory.glob("*.timer"))
    for name in ("a", "b"):
        moment = datetime.fromisoformat(store.load(name).expires_at)
        assert f"OnCalendar={moment:%Y-%m-%d %H:%M:%S} UTC\n" in text
    assert no_process == []
    systemd.calls.clear()
    watcher.ensure_watched(store)
    remove(store, "a", QUIET)
    assert systemd.calls == []  # all is in place; a moment too many does no harm

    remove(store, "b", QUIET)

    assert systemd.files() == []
    assert [call.split()[0] for call in systemd.calls] == ["--quiet", "--quiet", "clean", "daemon-reload"]


def test_where_no_timer_can_be_there_is_a_watcher_and_no_unit(
    store: FileStore, world: World, systemd: Systemd, no_process: list[str]
) -> None:
    systemd.failing = "enable"
    create(store, Request("a", "fake", ttl=3600), QUIET)

    assert no_process == [str(store.root)]
    assert systemd.files() == []


def test_what_needs_secrets_of_the_environment_has_a_watcher_too_and_no_unit_has_them(
    store: FileStore, world: World, systemd: Systemd, no_process: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("AWS_PROFILE", 'an "odd" 100% $one')
    create(store, Request("a", "fake", ttl=3600), QUIET)
    (text,) = (path.read_text() for path in systemd.manager.directory.glob("*.service"))

    assert no_process == [str(store.root)]
    assert "hush" not in text
    assert 'Environment="AWS_PROFILE=an \\"odd\\" 100%% $one"\n' in text


def test_the_timers_service_does_what_is_due_and_ends(store: FileStore, world: World, systemd: Systemd) -> None:
    make(store, "over", PAST)
    make(store, "lives", FUTURE)
    watcher.settle_due(store)
    assert store.names() == ["lives"]

    store.delete("lives")
    watcher.settle_due(store)

    assert systemd.files() == []


@pytest.mark.parametrize("moments", [[], ["soon"]])
def test_a_timer_that_is_the_only_one_of_a_store_that_is_gone_puts_itself_away(
    tmp_path: Path, systemd: Systemd, moments: list[str]
) -> None:
    store = FileStore(tmp_path / "gone")
    systemd.manager.directory.mkdir()
    (systemd.manager.directory / f"{timer.unit(store.location)}.timer").write_text(timer.timer_text("gone", moments))
    watcher.settle_due(store)

    assert systemd.files() == []
    assert not store.root.exists()


def test_doctor_says_who_sees_to_the_removals(store: FileStore, world: World, systemd: Systemd) -> None:
    from pymachine.machine.operations.doctor import examine_all

    def said() -> list[tuple[str, str]]:
        area = examine_all(store, ["none"], "none")[0]
        return [(finding.level, finding.text) for finding in area.findings if "expire" in finding.text]

    assert said() == []
    create(store, Request("a", "fake", ttl=3600), QUIET)
    assert [level for level, _ in said()] == ["ok"]
    systemd.manager = dataclasses.replace(systemd.manager, lingers=False)
    assert "only while you are logged in" in said()[0][1]
    next(systemd.manager.directory.glob("*.timer")).unlink()
    assert "after a reboot" in said()[0][1]
