"""Commands that need a running host say so."""

from pathlib import Path

import pytest

from pymachine.drivers.base import State
from pymachine.machine.errors import MachineError
from pymachine.machine.machine import Machine
from pymachine.machine.operations import logs
from pymachine.machine.operations.copy import copy
from pymachine.machine.operations.mount import mount
from pymachine.machine.operations.places import Place
from pymachine.store.file import FileStore
from support.fakedriver import World
from support.records import record


@pytest.fixture
def stopped(store: FileStore, world: World) -> Machine:
    made = record("web", driver="fake", options={})
    store.create(made)
    world.hosts[made.id] = State.STOPPED
    return Machine.load(store, "web")


def test_a_stopped_machine(stopped: Machine, tmp_path: Path) -> None:
    place = Place("/x", "web")

    with pytest.raises(MachineError, match='Cannot copy: Host "web" is not running'):
        copy(stopped.store, place, Place(str(tmp_path)))
    with pytest.raises(MachineError, match='The engine\'s journal cannot be read: Host "web" is not running'):
        next(logs.engine_log(stopped, 10))


def test_mounting_from_a_stopped_machine(stopped: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sshfs").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(MachineError, match='Cannot mount: Host "web" is not running') as caught:
        mount(stopped.store, Place("/x", "web"), str(tmp_path))
    assert caught.value.hint == 'Start it first: "pymachine start web".'
