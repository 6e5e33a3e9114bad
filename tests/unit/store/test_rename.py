"""A machine changes its name at one moment: whatever stops it, it is whole under one of the two."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pymachine.machine.errors import MachineExists, MachineNotFound
from pymachine.store.base import Damaged
from pymachine.store.file import FileStore
from support.records import record


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    store = FileStore(tmp_path)
    store.create(record("web"))
    (store.machine_dir("web") / "key.pem").write_text("secret")
    return store


class Stopped(Exception):
    """The process was killed there."""


def stop_before(monkeypatch: pytest.MonkeyPatch, function: str, number: int) -> None:
    """Let the process end right before the *number*-th call of a function of `os`."""
    real: Callable[..., Any] = getattr(os, function)
    calls = 0

    def call(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            raise Stopped
        return real(*args, **options)

    monkeypatch.setattr(os, function, call)


def test_record_and_files_come_along(store: FileStore) -> None:
    renamed = store.rename("web", "app")

    assert renamed.name == "app"
    assert store.names() == ["app"]
    assert store.load("app") == renamed
    assert (store.machine_dir("app") / "key.pem").read_text() == "secret"
    with pytest.raises(MachineNotFound):
        store.load("web")


def test_a_name_that_is_taken_is_refused(store: FileStore) -> None:
    store.create(record("app", id="another"))
    with pytest.raises(MachineExists):
        store.rename("web", "app")

    assert store.load("web").id == "id-of-web"
    assert store.load("app").id == "another"


def test_what_a_killed_create_left_under_the_name_is_in_nobodys_way(store: FileStore) -> None:
    (store.machine_dir("app") / "id_ed25519").write_text("left")
    store.rename("web", "app")

    assert not (store.machine_dir("app") / "id_ed25519").exists()


@pytest.mark.parametrize(("function", "number"), [("replace", 1), ("rename", 1), ("replace", 2)])
def test_a_killed_rename_leaves_the_machine_whole(
    store: FileStore, monkeypatch: pytest.MonkeyPatch, function: str, number: int
) -> None:
    with monkeypatch.context() as patch:
        stop_before(patch, function, number)
        with pytest.raises(Stopped):
            store.rename("web", "app")

    (found,) = store.load_all()
    assert not isinstance(found, Damaged)
    assert found.id == "id-of-web"
    assert store.names() == [found.name]
    found.phase = "ready"
    store.save(found)
    assert store.load(found.name) == found
    assert store.rename(found.name, "third").id == "id-of-web"


def test_a_record_kept_from_an_abandoned_rename_is_not_taken_for_the_machines(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_before(patch, "rename", 1)
        with pytest.raises(Stopped):
            store.rename("web", "app")
    (store.root / "machines" / "web" / "record.json").write_text("{")

    (found,) = store.load_all()
    assert isinstance(found, Damaged)


def test_the_index_of_machines_that_expire_follows(store: FileStore) -> None:
    store.create(record("brief", expires_at="2030-01-01T00:00:00Z"))
    assert store.expiring() == {"brief": "2030-01-01T00:00:00Z"}

    store.rename("brief", "short")
    assert store.expiring() == {"short": "2030-01-01T00:00:00Z"}

    store.delete("short")
    assert store.expiring() == {}


def test_a_damaged_index_names_the_machine_all_the_same(store: FileStore) -> None:
    store.create(record("brief", expires_at="2030-01-01T00:00:00Z"))
    (store.root / "expiring" / "brief").write_bytes(b"\xff")
    (store.root / "expiring" / ".tmp").touch()

    assert store.expiring() == {"brief": ""}
