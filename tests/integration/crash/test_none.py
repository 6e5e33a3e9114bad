"""Driver ``none``: kill -9 before each thing that create and rm do; then create again, or rm."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

from support.certificates import check_store
from support.killpoints import Attempt, attempt, complete
from support.program import Program

CREATE = ("create", "-d", "none", "--url", "tcp://127.0.0.1:1", "m")
ENOUGH = 10
"""Fewer points would mean that they are not seen."""


def machines(program: Program) -> dict[str, str]:
    """Phases by name, from the records: quicker than `ls`."""
    places = (program.store / "machines").iterdir()
    return {place.name: json.loads((place / "record.json").read_text())["phase"] for place in places}


def test_a_first_create_killed_anywhere_is_finished_by_the_next(tmp_path: Path) -> None:
    """In an empty store, so that the CA and the store itself are among what is half made."""
    for number in itertools.count(1):
        program = Program(tmp_path / f"store{number}")
        done = attempt(program, number, *CREATE)
        if not done.killed:
            break
        again = attempt(program, 0, *CREATE)
        taken = 'Docker machine "m" already exists\n'  # killed when all was done but the end of the process
        assert again.code == 0 or again.output == taken, (done, again)
        assert machines(program) == {"m": "ready"}, done
        check_store(program.store, "m")
    assert number > ENOUGH
    assert_finished(done)


def test_a_create_killed_anywhere_can_be_removed(tmp_path: Path) -> None:
    program = Program(tmp_path / "store")
    program.ok("create", "-d", "none", "--url", "tcp://127.0.0.1:1", "other")
    for number in itertools.count(1):
        done = attempt(program, number, *CREATE)
        if not done.killed:
            break
        remove(program, done)
    assert number > ENOUGH / 2
    assert_finished(done)


def test_a_remove_killed_anywhere_is_finished_by_the_next_or_by_a_create(tmp_path: Path) -> None:
    """A create makes a new machine of the same name then, a remove none."""
    program = Program(tmp_path / "store")
    program.ok("create", "-d", "none", "--url", "tcp://127.0.0.1:1", "other")
    complete(program, *CREATE)
    for number in itertools.count(1):
        done = attempt(program, number, "rm", "-y", "m")
        if not done.killed:
            break
        again = attempt(program, 0, *CREATE)
        untouched = 'Docker machine "m" already exists\n'  # killed before anything was done
        assert again.code == 0 or again.output == untouched, (done, again)
        assert machines(program) == {"m": "ready", "other": "ready"}, done
        done = attempt(program, number, "rm", "-y", "m")
        remove(program, done)
        complete(program, *CREATE)
    assert number > ENOUGH / 2
    assert_finished(done)


def remove(program: Program, done: Attempt) -> None:
    """Remove ``m`` if it is still there; nothing of it may be left, and the other machine is as it was."""
    exists = (program.store / "machines" / "m" / "record.json").exists()
    complete(program, "rm", "-y" if exists else "-f", "m")  # files without a record go too
    assert machines(program) == {"other": "ready"}, done


def assert_finished(done: Attempt) -> None:
    """The run that was not killed ended well."""
    assert done.code == 0, done
