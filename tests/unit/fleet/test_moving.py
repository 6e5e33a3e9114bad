"""Machines that come from elsewhere: archives, and docker-machine's store."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pymachine.machine.certs.authority import bootstrap, is_foreign
from pymachine.machine.errors import InvalidName, MachineError, MachineExists
from pymachine.machine.lifetime import timer, watcher
from pymachine.machine.machine import Machine
from pymachine.machine.operations.archive import export, import_archive
from pymachine.machine.operations.create import Request, create
from pymachine.machine.operations.dockermachine import import_machines
from pymachine.machine.operations.provision import provision
from pymachine.machine.operations.report import Silent
from pymachine.store.archive import ArchivedMachine, ArchiveRefused, pack
from pymachine.store.base import Record
from pymachine.store.file import FileStore
from pymachine.store.schema import dump_record
from support.fakedriver import World
from support.nohost import Sent
from support.records import record

QUIET = Silent()


@pytest.fixture
def other(tmp_path: Path) -> FileStore:
    """An empty store of somebody else."""
    return FileStore(tmp_path / "other")


@pytest.fixture
def archive(store: FileStore, world: World, sent: list[Sent], tmp_path: Path) -> Path:
    """With machine ``m`` of *store*, provisioned."""
    world.provisions = True
    machine = create(store, Request("m", "fake"), QUIET)
    (machine.directory / "provision.log").write_text("what was done")
    (machine.directory / "link").symlink_to("/etc/passwd")
    path = tmp_path / "archive"
    export([machine], path)
    return path


def test_the_same_machine_with_the_same_keys_and_certificates(
    store: FileStore, other: FileStore, archive: Path
) -> None:
    (machine,) = import_archive(other, archive, QUIET)

    assert machine.record == replace(store.load("m"), fleet={})
    files = {path.name for path in machine.directory.iterdir()}
    assert {"ca.pem", "cert.pem", "key.pem", "server.pem", "server-key.pem", "record.json"} <= files
    assert not files & {"provision.log", "link", "journal.jsonl"}
    assert (machine.directory / "server-key.pem").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("with_ca", [True, False])
def test_provisioning_it_from_there_keeps_the_ca_that_others_use(
    other: FileStore, archive: Path, sent: list[Sent], with_ca: bool
) -> None:
    if with_ca:
        bootstrap(other, lambda text: None)
    (machine,) = import_archive(other, archive, QUIET)
    before = {name: (machine.directory / name).read_bytes() for name in ("ca.pem", "server.pem", "cert.pem")}
    assert is_foreign(other, "m")
    sent.clear()
    provision(machine, QUIET)

    assert sent[0].plan.tls.ca.read_bytes() == before["ca.pem"]
    assert {name: (machine.directory / name).read_bytes() for name in before} == before


def test_a_machine_can_come_under_another_name_but_only_once(other: FileStore, archive: Path) -> None:
    import_archive(other, archive, QUIET, renamed={"m": "theirs"})
    assert other.names() == ["theirs"]

    with pytest.raises(MachineError, match='in the store already, as "theirs"'):
        import_archive(other, archive, QUIET)
    with pytest.raises(MachineExists):
        import_archive(other, archive, QUIET, renamed={"m": "theirs"})
    with pytest.raises(InvalidName):
        import_archive(other, archive, QUIET, renamed={"m": "../x"})


def test_a_machine_that_is_not_whole_is_not_exported(store: FileStore, tmp_path: Path) -> None:
    store.create(record("half"))
    with pytest.raises(MachineError, match="create has not finished"):
        export([Machine.load(store, "half")], tmp_path / "x")
    assert not (tmp_path / "x").exists()


def packed(tmp_path: Path, *records: Record, files: dict[str, bytes] | None = None) -> Path:
    path = tmp_path / "packed"
    path.write_bytes(pack([ArchivedMachine(item.name, dump_record(item), files or {}) for item in records]))
    return path


def good(name: str = "web", **changes: Any) -> Record:
    return record(name, **({"id": str(uuid.uuid4()), "phase": "ready"} | changes))


HOSTILE: dict[str, Callable[[], Record]] = {
    "no id": lambda: good(id="../../etc"),
    "not whole": lambda: good(phase="creating"),
    "a phase that there is not": lambda: good(phase="x"),
    "a key elsewhere": lambda: good(resources={"ssh_key": "../../../home/me/.ssh/id_rsa"}),
    "a key that is no name": lambda: good(resources={"ssh_key": ["x"]}),
    "a line break in a label": lambda: good(engine={"labels": ["a=b\nX=1"]}),
    "labels that are none": lambda: good(engine={"labels": 7}),
    "a moment that is none": lambda: good(expires_at="tomorrow"),
    "a moment that is somewhere else": lambda: good(expires_at="2020-01-01T00:00:00"),
    "a command": lambda: good(resources={"proxy_command": "rm -rf /"}),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_records_that_could_do_harm_are_refused_and_nothing_is_made(
    other: FileStore, tmp_path: Path, what: str
) -> None:
    with pytest.raises(MachineError):
        import_archive(other, packed(tmp_path, good("first"), HOSTILE[what]()), QUIET)
    assert other.names() == []


def test_a_command_is_accepted_when_that_is_allowed(other: FileStore, tmp_path: Path) -> None:
    path = packed(tmp_path, good(resources={"proxy_command": "ssh -W %h:%p jump"}))
    with pytest.raises(ArchiveRefused, match="would run on this computer") as caught:
        import_archive(other, path, QUIET)
    assert "--allow-commands" in caught.value.hint

    import_archive(other, path, QUIET, allow_commands=True)
    assert other.names() == ["web"]


def test_records_of_a_later_version_and_damaged_ones_are_refused(other: FileStore, tmp_path: Path) -> None:
    path = tmp_path / "x"
    for content in (b'{"schema": 99, "name": "web"}', b"{", dump_record(good("db"))):
        path.write_bytes(pack([ArchivedMachine("web", content)]))
        with pytest.raises(ArchiveRefused):
            import_archive(other, path, QUIET)
    assert other.names() == []


def test_an_imported_machine_goes_at_its_time_too(
    store: FileStore, other: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr(watcher, "_start", started.append)
    monkeypatch.setenv(timer.SWITCH, "no")
    machine = create(store, Request("brief", "none", options={"url": "tcp://192.0.2.1:2376"}, ttl=3600), QUIET)
    export([machine], tmp_path / "brief.archive")
    started.clear()

    import_archive(other, tmp_path / "brief.archive", QUIET)

    assert other.expiring() == {"brief": machine.record.expires_at}
    assert started == [other.location]


def test_a_fleet_of_this_store_does_not_own_what_is_imported(other: FileStore, tmp_path: Path) -> None:
    (machine,) = import_archive(other, packed(tmp_path, good(fleet={"name": "f"})), QUIET)
    assert machine.record.fleet == {}


# docker-machine


def docker_machine(root: Path, name: str, driver: str, settings: dict[str, Any], **options: Any) -> Path:
    directory = root / "machines" / name
    directory.mkdir(parents=True)
    config = {"ConfigVersion": 3, "Driver": settings, "DriverName": driver, "HostOptions": options, "Name": name}
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def test_a_generic_host_goes_on_as_one(store: FileStore, tmp_path: Path) -> None:
    settings = {"IPAddress": "192.0.2.7", "SSHUser": "me", "SSHPort": 2222, "EnginePort": 12376}
    engine = {"Labels": ["a=b"], "InsecureRegistry": ["r:5000"], "Env": None, "StorageDriver": "overlay2"}
    directory = docker_machine(
        tmp_path, "web", "generic", settings, EngineOptions=engine, AuthOptions={"ServerCertSANs": ["web.example"]}
    )
    config = json.loads((directory / "config.json").read_text())
    config["Driver"]["SSHKeyPath"] = str(directory / "key.pem")
    (directory / "config.json").write_text(json.dumps(config))
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (directory / name).write_text(f"{name} of web")

    (result,) = import_machines(store, tmp_path, QUIET)

    assert result.machine is not None
    found = store.load("web")
    assert (found.driver, found.phase, found.tls_san) == ("generic", "ready", ["web.example"])
    assert found.engine["labels"] == ["a=b"]
    assert found.resources["ssh_key"] == "ssh-key.pem"
    endpoint = result.machine.driver().ssh_endpoint()
    assert (endpoint.host, endpoint.user, endpoint.port) == ("192.0.2.7", "me", 2222)
    assert endpoint.key_path == store.machine_dir("web") / "ssh-key.pem"
    assert result.machine.driver().engine_url() == "tcp://192.0.2.7:12376"
    assert (store.machine_dir("web") / "key.pem").stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_imported_is_said_of_each_machine(store: FileStore, tmp_path: Path) -> None:
    docker_machine(tmp_path, "a", "virtualbox", {"IPAddress": "192.0.2.8", "SSHPort": 40000, "SSHUser": "docker"})
    docker_machine(tmp_path, "b", "none", {})
    docker_machine(tmp_path, "c", "generic", {"IPAddress": ""})
    docker_machine(tmp_path, "d", "generic", {"IPAddress": "192.0.2.9", "SSHKeyPath": "/gone/id_rsa"})
    docker_machine(tmp_path, "e", "none", {"URL": "tcp://192.0.2.9:2376"})
    docker_machine(tmp_path, "no_good", "none", {"URL": "tcp://192.0.2.9:2376"})
    results = import_machines(store, tmp_path, QUIET)

    assert store.names() == ["e"]
    assert [result.problem.split(" (")[0] for result in results] == [
        "its driver virtualbox is not known here",
        "its config.json has no URL",
        "its config.json has no address",
        "its SSH key /gone/id_rsa is gone",
        "",
        "Invalid hostname specified. Allowed hostname chars are: 0-9a-zA-Z . -",
    ]
    again = import_machines(store, tmp_path, QUIET, names=("a", "e"), as_generic=True)
    assert [result.problem for result in again] == ["", "a machine of that name is in the store already"]
    assert store.load("a").resources["ssh_port"] == 22
    with pytest.raises(MachineError, match="no machine x"):
        import_machines(store, tmp_path, QUIET, names=("x",))
