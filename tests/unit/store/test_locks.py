"""Leases: one holder at a time, named to whoever comes second."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path

import pytest

from pymachine.machine.errors import MachineError, StoreBusy
from pymachine.store.file import FileStore
from support.records import record


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store")


def test_the_second_is_told_who_holds_it(store: FileStore) -> None:
    with store.lease("web", "create"), pytest.raises(StoreBusy) as caught, store.lease("web", "rm"):
        pass

    message = str(caught.value)
    assert message.startswith(
        f'Machine "web" is in use by process {os.getpid()} on {socket.gethostname()} (create) since 20'
    )


def test_it_is_free_again_afterwards_also_after_an_error(store: FileStore) -> None:
    with pytest.raises(KeyError), store.lease("web", "create"):
        raise KeyError
    with store.lease("web", "rm"):
        pass


def test_machines_do_not_stand_in_each_others_way(store: FileStore) -> None:
    with store.lease("a", "x"), store.lease("b", "x"), store.lock():
        pass


def test_waiting_ends_when_the_holder_is_done(store: FileStore) -> None:
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with store.lease("web", "first"):
            held.set()
            release.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(10)
        with pytest.raises(StoreBusy), store.lease("web", "second", wait=0.05):
            pass
        release.set()
        with store.lease("web", "second", wait=10):
            pass
    finally:
        release.set()
        thread.join()


def test_it_holds_before_the_record_exists_and_over_its_removal(store: FileStore) -> None:
    with store.lease("web", "create"):
        assert store.names() == []
        store.create(record())
        store.delete("web")
        with pytest.raises(StoreBusy), store.lease("web", "other"):
            pass


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'"x"', b"{}", b"\xff"])
def test_a_damaged_note_hides_only_the_name(store: FileStore, note: bytes) -> None:
    with store.lease("web", "create"):
        path = store.root / "locks" / "machines" / "web.lock.holder"
        assert json.loads(path.read_text())["purpose"] == "create"
        path.write_bytes(note)
        with pytest.raises(StoreBusy, match="in use by another process"), store.lease("web", "rm"):
            pass


def test_a_stale_note_locks_nobody_out(store: FileStore) -> None:
    with store.lease("web", "create"):
        path = store.root / "locks" / "machines" / "web.lock.holder"
        note = path.read_bytes()
    path.write_bytes(note)

    with store.lease("web", "rm"):
        assert json.loads(path.read_text())["purpose"] == "rm"


def test_a_lock_file_that_cannot_be_made_is_one_clear_error(store: FileStore) -> None:
    store.root.mkdir()
    (store.root / "locks").write_text("x")

    with pytest.raises(MachineError, match="cannot lock"), store.lease("web", "x"):
        pass
