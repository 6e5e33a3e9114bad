"""The store seen by a user who may not read all of it (root has to put that rights away first)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.machine.errors import MachineError, RecordDamaged
from pymachine.store.base import Damaged
from pymachine.store.file import FileStore
from support.records import record

pytestmark = pytest.mark.root

NOBODY = 65534


@pytest.fixture
def store() -> Iterator[FileStore]:
    """Two machines in a directory of nobody's, and the test is nobody."""
    with tempfile.TemporaryDirectory(prefix="pymachine-store-") as name:
        os.chown(name, NOBODY, NOBODY)
        os.seteuid(NOBODY)
        try:
            made = FileStore(Path(name, "store"))
            made.create(record("a"))
            made.create(record("b"))
            yield made
        finally:
            os.seteuid(0)


def test_an_unreadable_record_is_damaged_and_hides_no_other(store: FileStore) -> None:
    (store.root / "machines" / "a" / "record.json").chmod(0)
    damaged, intact = store.load_all()

    assert damaged == Damaged("a", "it cannot be read: Permission denied")
    assert intact == record("b")
    with pytest.raises(RecordDamaged, match="Permission denied"):
        store.load("a")
    store.delete("a")
    assert store.names() == ["b"]


def test_a_machine_whose_directory_is_closed_is_damaged(store: FileStore) -> None:
    directory = store.root / "machines" / "a"
    directory.chmod(0)
    damaged, _ = store.load_all()

    assert damaged == Damaged("a", "it cannot be read: Permission denied")
    directory.chmod(0o700)


def test_a_store_of_somebody_else_is_one_clear_error(store: FileStore) -> None:
    os.seteuid(0)
    store.root.chmod(0o700)
    os.chown(store.root, 0, 0)
    os.seteuid(NOBODY)

    for action in (store.names, lambda: store.create(record("c")), lambda: store.delete("a"), store.certs_dir):
        with pytest.raises(MachineError, match="Permission denied") as caught:
            action()
        assert "--storage-path" in caught.value.hint


def test_a_journal_that_cannot_be_read_is_one_clear_error(store: FileStore) -> None:
    journal = store.journal("a")
    journal.begin("x")
    (store.root / "machines" / "a" / "journal.jsonl").chmod(0)

    with pytest.raises(MachineError, match=r"cannot read .*journal\.jsonl: Permission denied"):
        journal.facts()
    with pytest.raises(MachineError, match=r"cannot write .*journal\.jsonl: Permission denied"):
        journal.begin("y")
