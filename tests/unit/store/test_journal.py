"""The journal: what was said is there afterwards, whatever a crash did to the last line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pymachine.machine.errors import MachineError
from pymachine.store.journal import FileJournal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "machine" / "journal.jsonl"


def test_steps_and_facts_are_there_for_the_next_process(path: Path) -> None:
    journal = FileJournal(path)
    journal.begin("create.address", name="web", address="?")
    assert not journal.done("create.address")
    journal.complete("create.address", address="10.0.0.1")

    again = FileJournal(path)
    assert again.done("create.address")
    assert not again.done("create")
    assert again.facts() == {"name": "web", "address": "10.0.0.1"}


def test_a_step_begun_again_stays_done(path: Path) -> None:
    journal = FileJournal(path)
    journal.complete("a")
    journal.begin("a")

    assert journal.done("a")


def test_clearing_forgets_and_may_be_repeated(path: Path) -> None:
    journal = FileJournal(path)
    journal.clear()
    journal.complete("a", x=1)
    journal.clear()
    journal.clear()

    assert journal.facts() == {}
    assert not journal.done("a")


@pytest.mark.parametrize("cut", [1, 2, 10, 30])
def test_a_torn_last_line_loses_itself_alone(path: Path, cut: int) -> None:
    journal = FileJournal(path)
    journal.complete("a", x=1)
    whole = path.stat().st_size
    journal.complete("b", y=2)
    os.truncate(path, path.stat().st_size - cut if cut > 1 else whole + 5)
    journal.complete("c", z=3)

    assert journal.done("a")
    assert not journal.done("b") or cut == 1
    assert journal.done("c")
    assert journal.facts() == {"x": 1, "z": 3}


@pytest.mark.parametrize("line", [b"\0" * 50, b"[]", b"5", b'{"event": "complete"}', b"\xff", b"[" * 100_000])
def test_foreign_lines_are_passed_over(path: Path, line: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(line)
    journal = FileJournal(path)
    journal.complete("a", x=1)

    assert journal.facts() == {"x": 1}


def test_a_line_that_does_not_fit_on_the_disk_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = FileJournal(path)
    journal.complete("a", x=1)
    before = path.read_bytes()
    real, calls = os.write, iter([True, False])

    def write(handle: int, data: bytes) -> int:
        if next(calls):
            return real(handle, data[:7])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(MachineError, match="No space left on device") as caught:
        journal.complete("b")

    assert "free some space" in caught.value.hint
    assert path.read_bytes() == before


def test_what_is_no_json_leaves_no_trace(path: Path) -> None:
    with pytest.raises(TypeError):
        FileJournal(path).begin("a", x=object())

    assert not path.exists()
