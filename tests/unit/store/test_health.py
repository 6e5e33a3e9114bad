"""What is amiss with a store is named, each with its remedy, and nothing is changed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from pymachine.store.file import FileStore
from pymachine.store.health import examine
from support.records import record


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    store = FileStore(tmp_path / "store")
    store.create(record("web"))
    store.certs_dir()
    (store.machine_dir("web") / "ca.pem").touch(mode=0o644)
    (store.machine_dir("web") / "id_ed25519.pub").touch(mode=0o644)
    with store.lease("web", "test"):
        pass
    return store


def texts(store: FileStore) -> list[str]:
    return [ailment.text for ailment in examine(store.root)]


def test_a_good_store_and_none_at_all_have_nothing(store: FileStore, tmp_path: Path) -> None:
    assert examine(store.root) == []
    assert examine(tmp_path / "none") == []


@pytest.mark.parametrize("name", ["", "certs", "machines", "machines/web", "machines/web/record.json"])
def test_what_is_open_to_others_is_named_once(store: FileStore, name: str) -> None:
    path = store.root / name
    path.chmod(path.stat().st_mode | 0o044)
    (found,) = examine(store.root)

    assert found.level == "problem"
    assert found.text.startswith(f"{path} is open to others")
    os.system(found.remedy)
    assert examine(store.root) == []


def test_what_killed_commands_left_is_named(store: FileStore) -> None:
    (store.root / "machines" / ".removed-1").mkdir(mode=0o700)
    (store.root / "machines" / "half").mkdir(mode=0o700)
    docker = store.root / "machines" / "foreign"
    docker.mkdir(mode=0o700)
    (docker / "config.json").touch(mode=0o600)

    assert [text.split(" ", 1)[1] for text in texts(store)] == [
        "was left by a remove that was killed",
        "is a machine of docker-machine's",
        "is no machine: it has no record",
    ]


def test_a_holder_that_is_gone_is_told_from_one_that_lives(store: FileStore) -> None:
    gone = {"pid": 2**22 + 1, "host": os.uname().nodename, "purpose": "start", "since": "x"}
    directory = store.root / "locks" / "machines"
    (directory / "web.lock.holder").write_text(json.dumps(gone))
    (directory / "db.lock.holder").write_text(json.dumps({**gone, "pid": os.getpid()}))
    (directory / "ab.lock.holder").write_text(json.dumps({**gone, "host": "elsewhere"}))
    (directory / "xy.lock.holder").write_text("{")

    assert texts(store) == [f'process {2**22 + 1} was killed while it had "web" (start); nothing is locked']


def test_a_clock_that_goes_wrong_is_noticed(store: FileStore) -> None:
    future = time.time() + 3600
    os.utime(store.root / "machines" / "web" / "record.json", (future, future))
    (found,) = examine(store.root)

    assert "clock is wrong" in found.text
