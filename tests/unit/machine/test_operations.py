"""Operations, and what their failures leave; the driver is a fake so that it fails when it is told to."""

import threading

import pytest

from pymachine.drivers.base import State
from pymachine.machine.certs import check, expiry
from pymachine.machine.certs.check import EngineVersion
from pymachine.machine.errors import (
    CertificateError,
    DriverError,
    InvalidOption,
    MachineError,
    MachineExists,
    MachineNotFound,
    PreCreateCheckFailed,
    RecordDamaged,
    StoreBusy,
)
from pymachine.machine.machine import Machine, Several, open_machines
from pymachine.machine.operations.changing import each
from pymachine.machine.operations.create import Request, create
from pymachine.machine.operations.observe import load_all, observe
from pymachine.machine.operations.remove import remove
from pymachine.machine.operations.report import Silent
from pymachine.machine.operations.restart import restart
from pymachine.machine.operations.start import start
from pymachine.machine.operations.stop import kill, stop
from pymachine.store.file import FileStore
from support.fakedriver import World

QUIET = Silent()


def make(store: FileStore, name: str = "m", **options: object) -> Machine:
    return create(store, Request(name, "fake", options=options), QUIET)


class Lines(Silent):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def stage(self, text: str) -> None:
        self.lines.append(text)

    def say(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(text)


def test_create_leaves_a_ready_record_and_no_journal(store: FileStore, world: World) -> None:
    machine = make(store, size=3)

    assert store.load("m").phase == "ready"
    assert store.load("m").options == {"size": 3}
    assert store.load("m").resources == {"address": "10.0.0.2"}
    assert not store.journal("m").facts()
    assert world.hosts == {machine.record.id: State.RUNNING}


def test_a_failed_create_is_resumed_as_the_same_machine(store: FileStore, world: World, failure: DriverError) -> None:
    world.failing["create"] = failure
    with pytest.raises(DriverError, match="caught fire") as caught:
        make(store)
    assert "Run the same create again" in caught.value.__notes__[0]
    first = store.load("m")
    assert first.phase == "creating"

    del world.failing["create"]
    lines = Lines()
    machine = create(store, Request("m", "fake"), lines)

    assert machine.record.id == first.id
    assert list(world.hosts) == [first.id]
    assert 'Resuming the create of "m" where it stopped...' in lines.lines


def test_a_failed_create_can_be_removed(store: FileStore, world: World, failure: DriverError) -> None:
    world.failing["create"] = failure
    with pytest.raises(DriverError):
        make(store)
    remove(store, "m", QUIET)

    assert (world.hosts, store.names()) == ({}, [])


def test_another_create_does_not_take_over_an_unfinished_one(
    store: FileStore, world: World, failure: DriverError
) -> None:
    world.failing["create"] = failure
    with pytest.raises(DriverError):
        make(store)
    with pytest.raises(MachineError, match="started with other options: size"):
        make(store, size=2)

    assert store.load("m").options == {"size": 1}


def test_options_come_from_the_environment_of_the_request(store: FileStore, world: World) -> None:
    create(store, Request("m", "fake", environ={"FAKE_SIZE": "7"}), QUIET)

    assert store.load("m").options == {"size": 7}


def test_a_finished_machine_is_not_created_again(store: FileStore, world: World) -> None:
    make(store)
    with pytest.raises(MachineExists):
        make(store)

    assert world.calls.count("create") == 1


def test_a_failed_check_leaves_nothing(store: FileStore, world: World) -> None:
    world.failing["check"] = PreCreateCheckFailed("no room")
    with pytest.raises(PreCreateCheckFailed, match='Error with pre-create check: "no room"') as caught:
        make(store)

    assert caught.value.exit_code == 3
    assert store.names() == []
    assert not store.machine_dir("m").joinpath("record.json").exists()
    assert "create" not in world.calls


def test_a_wrong_option_is_named_with_the_others(store: FileStore, world: World) -> None:
    with pytest.raises(InvalidOption, match="from flags provided: --fake-size: 'x' is not a whole number"):
        make(store, size="x")


def test_nobody_else_changes_a_machine_meanwhile(store: FileStore, world: World) -> None:
    machine = make(store)
    with store.lease("m", "provision"):
        for operation in (stop, kill, start, restart):
            with pytest.raises(StoreBusy, match="provision"):
                operation(machine, QUIET)
        with pytest.raises(StoreBusy):
            remove(store, "m", QUIET)


def test_stop_start_restart_kill(store: FileStore, world: World) -> None:
    machine = make(store)
    stop(machine, QUIET)
    with pytest.raises(MachineError, match='Machine "m" is already stopped.'):
        stop(machine, QUIET)
    start(machine, QUIET)
    with pytest.raises(MachineError, match='Machine "m" is already running.'):
        start(machine, QUIET)
    restart(machine, QUIET)
    kill(machine, QUIET)
    restart(machine, QUIET)

    assert world.calls[2:] == ["stop", "start", "stop", "start", "kill", "start"]
    assert machine.state() == "Running"


def test_an_unfinished_machine_can_be_stopped_but_not_started(
    store: FileStore, world: World, failure: DriverError
) -> None:
    world.failing["create"] = failure
    with pytest.raises(DriverError):
        make(store)
    machine = Machine.load(store, "m")
    stop(machine, QUIET)
    with pytest.raises(MachineError, match="create has not finished: run the same create again"):
        start(machine, QUIET)


def test_a_host_that_cannot_be_removed_keeps_its_record(store: FileStore, world: World, failure: DriverError) -> None:
    make(store)
    world.failing["remove"] = failure
    with pytest.raises(DriverError):
        remove(store, "m", QUIET)
    assert store.load("m").phase == "removing"
    with pytest.raises(DriverError):
        make(store)

    del world.failing["remove"]
    remove(store, "m", QUIET)
    assert store.names() == []


def test_a_create_finishes_a_remove_that_was_cut_off(store: FileStore, world: World, failure: DriverError) -> None:
    """Then the machine is a new one; a create that could not be is refused before."""
    former = make(store).record.id
    world.failing["remove"] = failure
    with pytest.raises(DriverError):
        remove(store, "m", QUIET)
    del world.failing["remove"]
    with pytest.raises(InvalidOption):
        make(store, size="much")
    assert store.load("m").id == former
    lines = Lines()
    machine = create(store, Request("m", "fake"), lines)

    assert 'Finishing the removal of "m", which was cut off...' in lines.lines
    assert (machine.record.phase, len(world.hosts)) == ("ready", 1)
    assert machine.record.id != former


def test_force_forgets_the_machine_all_the_same(store: FileStore, world: World, failure: DriverError) -> None:
    make(store)
    world.failing["remove"] = failure
    with pytest.raises(DriverError):
        remove(store, "m", QUIET, force=True)

    assert store.names() == []


@pytest.mark.parametrize("damage", ["", "{", '{"schema": 99', "later"])
def test_force_removes_the_host_of_a_damaged_record(store: FileStore, world: World, damage: str) -> None:
    make(store)
    make(store, "other")
    path = store.machine_dir("m") / "record.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 99') if damage == "later" else damage)
    with pytest.raises(RecordDamaged):
        remove(store, "m", QUIET)
    assert len(world.hosts) == 2

    remove(store, "m", QUIET, force=True)
    assert store.names() == ["other"]
    assert list(world.hosts) == [store.load("other").id]


def test_force_says_what_of_a_damaged_machine_it_could_not_remove(
    store: FileStore, world: World, failure: DriverError
) -> None:
    make(store)
    (store.machine_dir("m") / "record.json").write_text("{")
    world.failing["remove"] = failure
    lines = Lines()
    remove(store, "m", lines, force=True)
    assert "has to be removed by hand: the host has caught fire" in lines.lines[-1]

    make(store, "n")
    for name in ("record.json", ".record.last"):
        (store.machine_dir("n") / name).write_text("{")
    remove(store, "n", lines, force=True)
    assert "has to be removed by hand: the record says too little" in lines.lines[-1].replace(' of "n"', "")
    assert store.names() == []


def test_the_errors_of_several_machines_are_all_told(store: FileStore, world: World, failure: DriverError) -> None:
    machines = [make(store, name) for name in ("a", "b", "c")]
    stop(machines[1], QUIET)
    with pytest.raises(Several) as caught:
        each(lambda machine: start(machine, QUIET), machines)

    assert str(caught.value).splitlines() == [
        'Machine "a" is already running.',
        'Machine "c" is already running.',
    ]
    assert machines[1].state() == "Running"


def test_all_machines_are_loaded_before_one_is_changed(store: FileStore, world: World) -> None:
    make(store)
    with pytest.raises(Several) as caught:
        open_machines(store, ["m", "x", "not/a/name"])

    assert [type(error) for error in caught.value.errors] == [MachineNotFound, MachineNotFound]


def test_a_machine_named_twice_is_one(store: FileStore, world: World) -> None:
    make(store)

    assert len(open_machines(store, ["m", "m"])) == 1


def test_a_row_of_a_machine_whose_driver_fails(store: FileStore, world: World, failure: DriverError) -> None:
    make(store)
    world.failing["state"] = failure
    (row,) = observe(load_all(store)[0], "")

    assert (row.state, row.error) == ("Error", "the host has caught fire")


def test_a_machine_of_a_driver_that_is_not_installed(store: FileStore, world: World) -> None:
    make(store)
    record = store.load("m")
    record.driver = "gone"
    store.save(record)
    (row,) = observe(load_all(store)[0], "")

    assert (row.driver, row.state) == ("gone", "Error")
    assert "gone" in row.error


def test_what_is_known_of_a_machine_whose_engine_does_not_answer(
    store: FileStore, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(store)
    answer = threading.Event()
    monkeypatch.setattr(check, "check_engine", lambda *given: answer.wait(30))
    try:
        (row,) = observe(load_all(store)[0], "tcp://10.0.0.2:2376", timeout=0.3)
    finally:
        answer.set()

    assert (row.state, row.url, row.active, row.docker) == ("Running", "tcp://10.0.0.2:2376", "*", "Unknown")
    assert row.error == "the engine does not answer within 0.3 s"


def test_a_machine_whose_driver_does_not_answer_is_a_timeout(store: FileStore, world: World) -> None:
    make(store)
    (row,) = observe(load_all(store)[0], "", timeout=0)

    assert (row.name, row.driver, row.state, row.url, row.error) == ("m", "fake", "Timeout", "", "")


def test_options_of_the_wrong_kind_harm_no_other_machine(store: FileStore, world: World) -> None:
    make(store)
    odd = store.load(make(store, "odd").name)
    odd.engine, odd.swarm = {"labels": 5}, {"master": True, "discovery": ["x"]}
    store.save(odd)
    rows = {row.name: row for row in observe(load_all(store)[0], "", engines=False)}

    assert (rows["m"].state, rows["odd"].labels) == ("Running", ())


def test_a_certificate_that_does_not_fit_is_told_with_its_cause(
    store: FileStore, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def misfit(*given: object) -> None:
        raise CertificateError("IP address mismatch")

    make(store)
    monkeypatch.setattr(check, "check_engine", misfit)
    for known, told in (("the address has changed", "the address has changed"), ("", "IP address mismatch")):
        monkeypatch.setattr(expiry, "warning", lambda directory, host, known=known: known)
        (row,) = observe(load_all(store)[0], "")
        assert row.error == told


def test_a_certificate_that_expires_soon_is_told_in_the_list(
    store: FileStore, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(store)
    monkeypatch.setattr(check, "check_engine", lambda url, directory, timeout: EngineVersion("1.2", "1.47"))
    monkeypatch.setattr(expiry, "warning", lambda directory, host: "the CA expires on 2030-01-01")
    (row,) = observe(load_all(store)[0], "tcp://10.0.0.2:2376")

    assert (row.docker, row.active, row.error) == ("v1.2", "*", "the CA expires on 2030-01-01")
