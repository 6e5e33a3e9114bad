"""Damaged records: shown as such, harmless to all others, and removed with what they have outside."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.localprogram import image_root, left_of, local_program
from support.program import Program

URL = "tcp://127.0.0.1:1"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zeros(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


def future(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 99}))


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


DAMAGES: list[tuple[Callable[[Path], None], str]] = [
    (cut, "cut short"),
    (empty, "empty"),
    (zeros, "not text in UTF-8"),
    (future, "a newer pymachine wrote it"),
    (directory, "cannot be read"),
    (fifo, "cannot be read"),
    (loop, "cannot be read"),
]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    made = Program(tmp_path / "store")
    for name in ("bad", "good"):
        made.ok("create", "-d", "none", "--url", URL, name)
    return made


def rows(program: Program) -> dict[str, dict[str, str]]:
    return {row["Name"]: row for row in json.loads(program.ok("ls", "-t", "5", "--format", "json"))}


@pytest.mark.parametrize(("damage", "says"), DAMAGES, ids=[damage.__name__ for damage, _ in DAMAGES])
def test_every_damage_is_shown_and_harms_nothing_else(
    program: Program, damage: Callable[[Path], None], says: str
) -> None:
    damage(program.store / "machines" / "bad" / "record.json")
    before = rows(program)
    assert before["bad"]["State"] == "Error"
    assert says in before["bad"]["Error"]
    assert before["good"]["State"] == "Running"
    for command in (("status", "bad"), ("start", "bad"), ("create", "-d", "none", "--url", URL, "bad")):
        done = program.run(*command)
        assert done.returncode == 1
        assert 'the record of machine "bad" is damaged' in done.stderr.splitlines()[0], done.stderr
    assert program.run("rm", "-y", "bad").returncode == 1

    assert "Successfully removed bad" in program.ok("rm", "-f", "bad")
    assert list(rows(program)) == ["good"]
    assert [path.name for path in (program.store / "machines").iterdir()] == ["good"]
    program.ok("create", "-d", "none", "--url", URL, "bad")


@pytest.fixture
def local() -> Iterator[Program]:
    with local_program(image_root()) as program:
        yield program


@pytest.mark.root
def test_the_host_of_a_damaged_record_is_found_by_the_machines_id(local: Program) -> None:
    local.ok("create", "bad")
    shutil.copytree(local.store / "machines" / "bad", local.store / "machines" / "copy")
    empty(local.store / "machines" / "bad" / "record.json")

    # A copy has the original's id: it is damaged too, and removing it must leave the host alone.
    assert local.run("rm", "-f", "copy").returncode == 0
    assert any("process" in item for item in left_of(local))
    done = local.run("rm", "-f", "bad")
    assert (done.returncode, done.stderr) == (0, "")
    assert left_of(local) == []
