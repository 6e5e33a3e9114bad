"""Many machines, renames, changed settings and fleets: what they do, and what their failures leave."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import pytest

from pymachine.drivers.base import State
from pymachine.machine.config import EngineOptions, SwarmOptions
from pymachine.machine.errors import DriverError, MachineError, MachineExists, MachineNotFound, StoreBusy
from pymachine.machine.fleet.document import Fleet
from pymachine.machine.fleet.plan import Plan, make_plan
from pymachine.machine.machine import Several
from pymachine.machine.operations import converge
from pymachine.machine.operations.apply import apply, check
from pymachine.machine.operations.create import Request, create
from pymachine.machine.operations.many import create_many, numbered
from pymachine.machine.operations.prefixed import Prefixed
from pymachine.machine.operations.reconfigure import reconfigure
from pymachine.machine.operations.rename import rename
from pymachine.machine.operations.report import Silent
from pymachine.machine.operations.start import start
from pymachine.provisioners import converge as provisioner
from pymachine.store.file import FileStore
from support.fakedriver import FakeDriver, World
from support.nohost import Sent

QUIET = Silent()


def quiet(name: str) -> Silent:
    return QUIET


FIRE = DriverError("the host has caught fire")


class Lines(Silent):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)

    def say(self, text: str) -> None:
        self.lines.append(text)


# Many machines


def test_many_machines_are_made_a_few_at_a_time(
    store: FileStore, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once, most, lock = 0, 0, threading.Lock()
    real = FakeDriver.create

    def counted(driver: FakeDriver) -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        real(driver)
        with lock:
            at_once -= 1

    monkeypatch.setattr(FakeDriver, "create", counted)
    lines = Lines()
    create_many(store, numbered(Request("m", "fake"), 7), lambda name: Prefixed(lines, name), most=2)

    assert store.names() == [f"m-{number}" for number in range(1, 8)]
    assert len(world.hosts) == 7
    assert most <= 2
    assert "m-7: Creating machine..." in lines.lines


def test_one_that_fails_does_the_others_no_harm_and_all_failures_are_told(
    store: FileStore, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = FakeDriver.create

    def failing(driver: FakeDriver) -> None:
        if driver.context.name in ("m-2", "m-3"):
            raise DriverError(f"no {driver.context.name}")
        real(driver)

    monkeypatch.setattr(FakeDriver, "create", failing)
    with pytest.raises(Several) as caught:
        create_many(store, numbered(Request("m", "fake"), 4), quiet, most=3)

    assert sorted(str(caught.value).splitlines()) == ["m-2: no m-2", "m-3: no m-3"]
    assert caught.value.exit_code == 1
    assert [store.load(name).phase for name in store.names()] == ["ready", "creating", "creating", "ready"]


def test_the_same_again_goes_on_and_takes_no_machine_that_is_another(
    store: FileStore, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request("m", "fake", engine=EngineOptions(labels=("a=b",)))
    with monkeypatch.context() as patch:
        patch.setattr(FakeDriver, "create", lambda driver: (_ for _ in ()).throw(DriverError("no")))
        with pytest.raises(DriverError):
            create(store, dataclasses.replace(request, name="m-1"), QUIET)
    create(store, dataclasses.replace(request, name="m-2"), QUIET)
    before = store.load("m-2")

    made = create_many(store, numbered(request, 3), quiet, most=2)

    assert sorted(machine.name for machine in made) == store.names() == ["m-1", "m-2", "m-3"]
    assert store.load("m-2") == before
    with pytest.raises(Several, match="m-1: .*already exists"):
        create_many(store, numbered(Request("m", "fake"), 1), quiet, most=1)


def test_a_defect_is_not_hidden_among_errors(store: FileStore, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(driver: FakeDriver) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(FakeDriver, "create", broken)
    with pytest.raises(ZeroDivisionError):
        create_many(store, numbered(Request("m", "fake"), 2), quiet, most=2)


# Renames


@pytest.fixture
def provisioned(store: FileStore, world: World, sent: list[Sent]) -> FileStore:
    """A store with machine ``m``, provisioned."""
    world.provisions = True
    create(store, Request("m", "fake"), QUIET)
    sent.clear()
    return store


def test_a_running_host_is_told_its_new_name_at_once(provisioned: FileStore, sent: list[Sent]) -> None:
    before = provisioned.load("m")
    machine = rename(provisioned, "m", "n", QUIET)

    assert machine.record.id == before.id
    assert [item.plan.machine_name for item in sent] == ["n"]
    assert converge.DUE not in provisioned.load("n").provisioned
    assert converge.certificate_misfit(machine, [machine.driver().address(), "n"]) == ""
    assert not provisioned.journal("n").facts()
    with pytest.raises(MachineNotFound):
        rename(provisioned, "m", "n", QUIET)


def test_a_stopped_host_is_told_when_it_starts(provisioned: FileStore, world: World, sent: list[Sent]) -> None:
    world.hosts[provisioned.load("m").id] = State.STOPPED
    machine = rename(provisioned, "m", "n", QUIET)
    assert sent == []
    assert provisioned.load("n").provisioned[converge.DUE] == "the machine was renamed"

    start(machine, QUIET)
    assert [item.plan.machine_name for item in sent] == ["n"]
    assert converge.DUE not in provisioned.load("n").provisioned


def test_a_host_that_cannot_be_told_now_is_told_by_the_same_rename_again(
    provisioned: FileStore, sent: list[Sent], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise MachineError("no route")

    with monkeypatch.context() as patch:
        patch.setattr(provisioner, "provision", fail)
        with pytest.raises(MachineError, match="no route") as caught:
            rename(provisioned, "m", "n", QUIET)
    assert 'The machine is called "n" now' in caught.value.__notes__[-1]
    assert provisioned.names() == ["n"]

    rename(provisioned, "m", "n", QUIET)
    assert [item.plan.machine_name for item in sent] == ["n"]
    assert not provisioned.journal("n").facts()


def test_renames_that_cannot_be(provisioned: FileStore, world: World) -> None:
    create(provisioned, Request("other", "fake"), QUIET)
    for new in ("other", "m"):
        with pytest.raises(MachineExists):
            rename(provisioned, "m", new, QUIET)
    with pytest.raises(MachineError, match="hostname"):
        rename(provisioned, "m", "no good", QUIET)
    with provisioned.lease("free", "create"), pytest.raises(StoreBusy):
        rename(provisioned, "m", "free", QUIET)
    world.failing["create"] = FIRE
    with pytest.raises(DriverError):
        create(provisioned, Request("half", "fake"), QUIET)
    with pytest.raises(MachineError, match="create has not finished"):
        rename(provisioned, "half", "whole", QUIET)

    assert provisioned.names() == ["half", "m", "other"]


# Settings


def test_changed_settings_are_on_record_and_then_on_the_host(provisioned: FileStore, sent: list[Sent]) -> None:
    machine = create(provisioned, Request("a", "fake", engine=EngineOptions(install_url="https://x")), QUIET)
    sent.clear()
    certificate = (machine.directory / "server.pem").read_bytes()
    member = SwarmOptions(agent=True, discovery="etcd://192.0.2.1/x")
    reconfigure(
        machine,
        QUIET,
        engine=EngineOptions(labels=("a=b",)),
        swarm=member,
        tls_san=("extra.example",),
        key_type="rsa",
    )
    assert machine.swarm == member

    record = provisioned.load("a")
    assert (record.engine["labels"], record.engine["install_url"]) == (["a=b"], "https://x")
    assert (record.tls_san, record.tls) == (["extra.example"], {"key_type": "rsa"})
    assert converge.DUE not in record.provisioned
    assert sent[-1].plan.engine.labels == ("a=b",)
    assert (machine.directory / "server.pem").read_bytes() != certificate


def test_a_change_that_fails_half_way_is_finished_by_the_next_apply(
    provisioned: FileStore, monkeypatch: pytest.MonkeyPatch, sent: list[Sent]
) -> None:
    wanted = Request("m", "fake", engine=EngineOptions(labels=("a=b",)))

    def fail(*args: object) -> None:
        raise MachineError("no route")

    with monkeypatch.context() as patch:
        patch.setattr(provisioner, "provision", fail)
        with pytest.raises(Several, match="m: no route"):
            run(provisioned, wanted)
    assert [step.verb for step in plan(provisioned, wanted).steps] == ["change"]

    run(provisioned, wanted)
    assert plan(provisioned, wanted).idle


# Fleets


def plan(store: FileStore, *requests: Request, prune: bool = False) -> Plan:
    return make_plan(store, Fleet("f", Path("f.yaml"), requests), prune=prune)


def run(store: FileStore, *requests: Request, prune: bool = False) -> None:
    apply(store, plan(store, *requests, prune=prune), quiet, {}, most=3, timeout=60)


def test_a_fleet_is_made_changed_and_pruned(store: FileStore, world: World) -> None:
    run(store, Request("a", "fake"), Request("b", "fake", options={"size": "2"}))
    assert store.load("b").fleet == {"name": "f", "options": ["size"]}
    assert plan(store, Request("a", "fake"), Request("b", "fake", options={"size": "2"})).idle
    first = store.load("b").id

    run(store, Request("b", "fake", options={"size": "3"}), prune=True)
    assert store.names() == ["b"]
    assert store.load("b").options == {"size": 3}
    assert store.load("b").id != first
    assert len(world.hosts) == 1


def test_nothing_is_made_anew_unless_that_is_allowed(store: FileStore, world: World) -> None:
    run(store, Request("a", "fake"))
    found = plan(store, Request("a", "fake", options={"size": "2"}))

    with pytest.raises(MachineError, match="a would have to be removed and made anew"):
        check(found, replace=False)
    check(found, replace=True)


def test_what_fails_with_one_machine_is_nothing_to_the_others(store: FileStore, world: World) -> None:
    run(store, Request("old", "fake"))
    world.failing["remove"] = FIRE
    with pytest.raises(Several, match="old: the host has caught fire"):
        run(store, Request("new", "fake"), prune=True)
    assert store.load("new").phase == "ready"
    assert store.load("old").phase == "removing"

    world.failing.clear()
    run(store, Request("new", "fake"), Request("old", "fake"))
    assert [store.load(name).phase for name in store.names()] == ["ready", "ready"]
    assert len(world.hosts) == 2
