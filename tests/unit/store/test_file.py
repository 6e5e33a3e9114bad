"""The file store: records come back as they were, nothing is half there, damage stays where it is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pymachine.machine.errors import InvalidName, MachineError, MachineExists, MachineNotFound, RecordDamaged
from pymachine.store.base import SCHEMA, Damaged, Record
from pymachine.store.file import FileStore
from support.records import record


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "home" / "store")


def path_of(store: FileStore, name: str = "web") -> Path:
    return store.root / "machines" / name / "record.json"


def test_reading_makes_nothing(store: FileStore) -> None:
    assert store.names() == []
    assert list(store.load_all()) == []
    assert store.journal("web").facts() == {}
    assert not store.journal("web").done("create")
    with pytest.raises(MachineNotFound):
        store.load("web")
    store.delete("web")

    assert not store.root.exists()


def test_a_record_comes_back_as_it_was(store: FileStore) -> None:
    given = record(resources={"ip": "10.0.0.1", "nested": {"a": [1, None, True, "ü"]}}, phase="ready")
    store.create(given)

    assert store.load("web") == given
    assert store.names() == ["web"]
    assert list(store.load_all()) == [given]


def test_names_are_sorted(store: FileStore) -> None:
    for name in ("c", "a", "b"):
        store.create(record(name))

    assert store.names() == ["a", "b", "c"]


def test_everything_is_private(store: FileStore) -> None:
    old = os.umask(0)
    try:
        store.create(record())
        store.journal("web").begin("create")
        store.certs_dir()
        with store.lease("web", "test"), store.lock():
            modes = {path.stat().st_mode & 0o777 for path in [store.root, *store.root.rglob("*")] if path.is_dir()}
            files = {path.stat().st_mode & 0o777 for path in store.root.rglob("*") if path.is_file()}
    finally:
        os.umask(old)

    assert modes == {0o700}
    assert files == {0o600}


def test_a_name_is_taken_once(store: FileStore) -> None:
    store.create(record())

    with pytest.raises(MachineExists, match='Docker machine "web" already exists'):
        store.create(record(driver="other"))
    assert store.load("web").driver == "none"


def test_a_directory_without_a_record_is_no_machine(store: FileStore) -> None:
    (store.machine_dir("web") / "id_ed25519").write_text("key")

    assert store.names() == []
    with pytest.raises(MachineNotFound):
        store.load("web")
    store.create(record())
    assert store.names() == ["web"]
    assert (store.machine_dir("web") / "id_ed25519").exists()


def test_saving_replaces_and_keeps_what_it_does_not_know(store: FileStore) -> None:
    store.create(record())
    document = json.loads(path_of(store).read_text())
    path_of(store).write_text(json.dumps(document | {"later": {"x": 1}}))

    loaded = store.load("web")
    loaded.phase = "ready"
    store.save(loaded)

    assert loaded.extra == {"later": {"x": 1}}
    written = json.loads(path_of(store).read_text())
    assert written["later"] == {"x": 1}
    assert written["phase"] == "ready"
    assert written["schema"] == SCHEMA


def test_unknown_fields_never_override_known_ones(store: FileStore) -> None:
    store.create(record(extra={"name": "evil", "schema": 99}))

    assert store.load("web").name == "web"


def test_a_removed_machine_is_not_saved_back_to_life(store: FileStore) -> None:
    given = record()
    store.create(given)
    store.delete("web")

    with pytest.raises(MachineNotFound):
        store.save(given)
    store.machine_dir("web")
    with pytest.raises(MachineNotFound):
        store.save(given)
    assert store.names() == []


def test_deleting_takes_all_files_and_may_be_repeated(store: FileStore) -> None:
    store.create(record())
    (store.machine_dir("web") / "logs").mkdir()
    (store.machine_dir("web") / "logs" / "console").write_text("x")
    store.delete("web")
    store.delete("web")

    assert store.names() == []
    assert os.listdir(store.root / "machines") == []


def test_deleting_sweeps_up_what_a_crash_left_of_another(store: FileStore) -> None:
    store.create(record())
    left = store.root / "machines" / ".removed-crashed"
    left.mkdir()
    (left / "disk").write_text("x")
    assert store.names() == ["web"]
    store.delete("web")

    assert os.listdir(store.root / "machines") == []


def test_deleting_a_link_leaves_its_target(store: FileStore, tmp_path: Path) -> None:
    store.create(record())
    target = tmp_path / "elsewhere"
    target.mkdir()
    (target / "keep").write_text("x")
    (store.root / "machines" / "linked").symlink_to(target)
    store.delete("linked")

    assert (target / "keep").exists()
    assert store.names() == ["web"]


def good() -> dict[str, Any]:
    return {"schema": SCHEMA, "name": "bad", "id": "i", "driver": "none", "created_at": "2026"}


DAMAGES: list[tuple[str, bytes, str]] = [
    ("empty", b"", "empty"),
    ("cut short", json.dumps(good()).encode()[:40], "cut short"),
    ("zeros", b"\0" * 100, "cut short"),
    ("not JSON", b"{nonsense}", "not JSON"),
    ("not text", b'{"a": "\xff\xfe"}', "UTF-8"),
    ("no object", b"[]", "not a JSON object"),
    ("nested", b"[" * 100_000 + b"]" * 100_000, "nested too deep"),
    ("from the future", json.dumps(good() | {"schema": 2}).encode(), "newer pymachine wrote it"),
    ("no schema", json.dumps(good() | {"schema": None}).encode(), "schema is not a version number"),
    ("true is no version", json.dumps(good() | {"schema": True}).encode(), "schema is not a version number"),
    ("no driver", json.dumps({k: v for k, v in good().items() if k != "driver"}).encode(), "driver is missing"),
    ("number for a name", json.dumps(good() | {"name": 1}).encode(), "name is not a string"),
    ("list for options", json.dumps(good() | {"options": []}).encode(), "options is not an object"),
    ("null for resources", json.dumps(good() | {"resources": None}).encode(), "resources is not an object"),
    ("numbers in tls_san", json.dumps(good() | {"tls_san": [1]}).encode(), "tls_san holds something other"),
    ("another's", json.dumps(good() | {"name": "web"}).encode(), "a machine called 'web'"),
    ("huge number", b'{"schema": ' + b"9" * 10_000 + b"}", "not JSON"),
]


@pytest.mark.parametrize(("content", "reason"), [d[1:] for d in DAMAGES], ids=[d[0] for d in DAMAGES])
def test_a_damaged_record_is_listed_refused_and_removable(store: FileStore, content: bytes, reason: str) -> None:
    store.create(record())
    store.create(record("bad"))
    path_of(store, "bad").write_bytes(content)

    damaged, intact = store.load_all()
    assert isinstance(damaged, Damaged)
    assert damaged.name == "bad"
    assert reason in damaged.reason
    assert "\n" not in damaged.reason
    assert isinstance(intact, Record)
    assert store.names() == ["bad", "web"]
    with pytest.raises(RecordDamaged, match='the record of machine "bad" is damaged') as caught:
        store.load("bad")
    assert caught.value.hint
    with pytest.raises(MachineExists):
        store.create(record("bad"))
    store.delete("bad")
    assert store.names() == ["web"]


def test_a_record_that_is_no_file_is_damaged_and_never_waited_for(store: FileStore) -> None:
    for name, make in (("dir", os.mkdir), ("fifo", os.mkfifo)):
        store.create(record(name))
        path_of(store, name).unlink()
        make(path_of(store, name))
    store.create(record("loop"))
    path_of(store, "loop").unlink()
    path_of(store, "loop").symlink_to("record.json")

    assert [item.reason for item in store.load_all() if isinstance(item, Damaged)] == [
        "it cannot be read: Is a directory",
        "it cannot be read: not a regular file",
        "it cannot be read: Too many levels of symbolic links",
    ]
    for name in store.names():
        store.delete(name)
    assert store.names() == []


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "/etc", "-x", ".x", "a b", "a\n", "ü", "a\0", "x" * 201]
)
def test_no_name_leads_out_of_the_store(store: FileStore, name: str) -> None:
    for action in (store.load, store.delete, store.machine_dir, store.journal, lambda n: store.create(record(n))):
        with pytest.raises(InvalidName, match=r"Invalid hostname specified\."):
            action(name)
    with pytest.raises(InvalidName):
        store.lease(name, "test")
    assert not store.root.exists()


def test_strangers_in_the_directory_are_no_machines(store: FileStore) -> None:
    store.create(record())
    (store.root / "machines" / "file").write_text("x")
    (store.root / "machines" / ".hidden").mkdir()
    (store.root / "machines" / "lost+found").mkdir()

    assert store.names() == ["web"]


def test_a_machine_of_docker_machine_is_left_alone(store: FileStore) -> None:
    foreign = store.machine_dir("web") / "config.json"
    foreign.write_text("{}")

    with pytest.raises(MachineError, match="made by docker-machine"):
        store.create(record())
    store.delete("web")
    assert foreign.exists()


def test_the_id_is_made_once(store: FileStore) -> None:
    assert store.id == store.id == FileStore(store.root).id


def test_a_store_from_the_future_is_not_written_to(store: FileStore) -> None:
    store.create(record())
    (store.root / "store.json").write_text('{"schema": 2, "id": "x"}')

    with pytest.raises(MachineError, match="newer pymachine"):
        FileStore(store.root).create(record("other"))
    assert FileStore(store.root).names() == ["web"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": 1}', '{"schema": 1, "id": "no uuid"}', '{"id": 1}'])
def test_a_damaged_store_file_harms_no_reader(store: FileStore, content: str) -> None:
    store.create(record())
    (store.root / "store.json").write_text(content)
    again = FileStore(store.root)

    with pytest.raises(MachineError, match=r"store\.json"):
        _ = again.id
    assert again.load("web") == record()
    again.save(record())
    again.delete("web")


def test_what_is_no_json_is_refused_before_anything_is_written(store: FileStore) -> None:
    for value in (object(), float("nan"), {1, 2}):
        with pytest.raises(MachineError, match="not JSON"):
            store.create(record(resources={"x": value}))
    assert store.names() == []


def test_a_root_that_is_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    store = FileStore(tmp_path / "file")

    for action in (store.names, lambda: store.create(record()), store.certs_dir, lambda: store.lock().__enter__()):
        with pytest.raises(MachineError, match=r"(Not a directory|File exists)"):
            action()
