"""What can be known of a machine whose record is damaged, and what must not be believed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pymachine.machine.errors import RecordDamaged
from pymachine.store.base import SCHEMA
from pymachine.store.file import FileStore
from support.records import record

ID = "0b5a7c0e-6f3c-4c7e-9a54-2f6d7b1c9e10"


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    made = FileStore(tmp_path / "store")
    made.create(record(id=ID, driver="local", options={"cpus": 2}))
    return made


def path_of(store: FileStore, name: str = "web") -> Path:
    return store.root / "machines" / name / "record.json"


def change(store: FileStore, **fields: Any) -> None:
    path = path_of(store)
    path.write_text(json.dumps(json.loads(path.read_text()) | fields, indent=2))


def test_a_record_of_a_later_version_tells_all_that_we_know(store: FileStore) -> None:
    change(store, schema=SCHEMA + 1, news={"a": 1}, tls_san={"dns": []})
    with pytest.raises(RecordDamaged):
        store.load("web")
    found = store.salvage("web")

    assert found is not None
    assert (found.id, found.driver, found.options) == (ID, "local", {"cpus": 2})
    assert json.loads(path_of(store).read_text())["schema"] == SCHEMA + 1


def test_the_record_before_the_last_change_is_enough(store: FileStore) -> None:
    changed = store.load("web")
    changed.resources = {"address": "10.0.0.7"}
    store.save(changed)
    changed.phase = "ready"
    store.save(changed)
    for content in (b"", b"{", b"\0" * 500):
        path_of(store).write_bytes(content)
        found = store.salvage("web")
        assert found is not None
        assert (found.id, found.resources, found.phase) == (ID, {"address": "10.0.0.7"}, "creating")


def test_a_record_cut_short_anywhere_after_its_driver_is_enough(store: FileStore) -> None:
    whole = path_of(store).read_bytes()
    enough = whole.index(b'"local"') + len(b'"local"')
    for length in range(len(whole)):
        path_of(store).write_bytes(whole[:length])
        found = store.salvage("web")
        assert (found is not None) is (length >= enough), whole[:length]
        assert found is None or (found.id, found.driver) == (ID, "local")


@pytest.mark.parametrize(
    "wrong", [{"id": "../../etc"}, {"id": 7}, {"id": ""}, {"driver": ""}, {"driver": ["local"]}, {"name": "other"}]
)
def test_what_cannot_be_true_is_not_believed(store: FileStore, wrong: dict[str, Any]) -> None:
    change(store, **{"schema": 99, **wrong})

    assert store.salvage("web") is None


def test_a_copied_machine_is_not_taken_for_the_original(store: FileStore) -> None:
    """Removing the copy must not remove the original's host."""
    store.save(store.load("web"))
    shutil.copytree(store.root / "machines" / "web", store.root / "machines" / "copy")

    assert store.salvage("copy") is None


def test_a_record_that_cannot_be_read_is_known_by_the_one_before(store: FileStore) -> None:
    store.save(store.load("web"))
    path_of(store).unlink()
    path_of(store).mkdir()
    found = store.salvage("web")

    assert found is not None
    assert found.id == ID


def test_the_last_record_takes_no_room_twice_and_no_file_is_left(store: FileStore) -> None:
    for phase in ("ready", "ready", "removing"):
        changed = store.load("web")
        changed.phase = phase
        store.save(changed)

    assert sorted(path.name for path in path_of(store).parent.iterdir()) == [".record.last", "record.json"]


def test_sweeping_takes_what_has_no_record_and_nothing_else(store: FileStore) -> None:
    machines = store.root / "machines"
    (machines / "half").mkdir()
    (machines / "half" / "id_ed25519").write_text("secret")
    (machines / "busy").mkdir()
    (machines / ".removed-1").mkdir()
    (machines / "foreign").mkdir()
    (machines / "foreign" / "config.json").write_text("{}")
    path_of(store).write_text("{")
    with FileStore(store.root).lease("busy", "create"):
        store.sweep()

    assert sorted(path.name for path in machines.iterdir()) == ["busy", "foreign", "web"]


def test_sweeping_makes_nothing(tmp_path: Path) -> None:
    FileStore(tmp_path / "none").sweep()

    assert list(tmp_path.iterdir()) == []
