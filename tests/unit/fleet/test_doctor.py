"""The doctor looks at everything, changes nothing, and counts only what matters to the user."""

from __future__ import annotations

import shutil

import pytest

from pymachine.drivers import registry
from pymachine.drivers.base import Finding
from pymachine.machine.errors import DriverError, InvalidOption, MissingRequirement
from pymachine.machine.operations.create import Request, create
from pymachine.machine.operations.doctor import Area, examine_all
from pymachine.machine.operations.report import Silent
from pymachine.store.file import FileStore
from support.fakedriver import World


@pytest.fixture(autouse=True)
def drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "names", lambda: ["fake", "none"])


def fake(store: FileStore, *names: str) -> Area:
    return next(area for area in examine_all(store, names, "none") if area.title == "driver fake")


def test_the_check_before_create_is_the_doctor_of_a_driver_that_knows_no_more(store: FileStore, world: World) -> None:
    assert fake(store).findings == (Finding("ok", "machines can be made"),)
    world.failing["check"] = MissingRequirement("there is no root", hint="sudo")
    assert fake(store).findings == (Finding("problem", "there is no root", "sudo"),)
    world.failing["check"] = InvalidOption("--fake-url is required")
    assert [finding.level for finding in fake(store).findings] == ["ok"]
    assert world.hosts == {}
    assert not store.root.exists()


def test_a_problem_counts_when_the_driver_is_named_or_used(store: FileStore, world: World) -> None:
    failure = DriverError("the host has caught fire")
    world.failing["check"] = failure
    assert not fake(store).failed
    assert fake(store, "fake").failed
    del world.failing["check"]
    create(store, Request("m", "fake"), Silent())
    world.failing["check"] = failure
    assert fake(store).failed


def test_a_driver_that_is_not_there_is_a_problem(store: FileStore, world: World) -> None:
    area = examine_all(store, ["nope"], "none")[-1]
    assert area.failed
    assert 'Driver "nope" not found' in area.findings[0].text


def test_unfinished_and_damaged_machines_are_named(store: FileStore, world: World) -> None:
    world.failing["create"] = DriverError("x")
    with pytest.raises(DriverError):
        create(store, Request("half", "fake"), Silent())
    (store.machine_dir("hurt") / "record.json").touch(mode=0o600)
    found = {finding.level: finding for finding in examine_all(store, [], "none")[0].findings}

    assert found["warning"].text.startswith('machine "half": create has not finished')
    assert found["problem"].text == 'the record of machine "hurt" cannot be used: the file is empty'
    assert found["problem"].remedy == 'restore it, or remove it: "pymachine rm -f hurt"'


def test_missing_programs_are_warnings(store: FileStore, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/ssh" if name == "ssh" else None)
    docker, ssh = examine_all(store, [], "none")[1].findings

    assert (docker.level, ssh.level) == ("warning", "ok")
