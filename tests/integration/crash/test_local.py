"""Local machines: kill -9 before each thing that create and rm do, then the same again. One machine, or nothing."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.killpoints import Attempt, again_and_again, attempt
from support.localprogram import image_root, left_of, local_program
from support.program import Program

pytestmark = [pytest.mark.root, pytest.mark.slow]

STEPS = 10
"""Journal entries of a create, at least."""
ENOUGH, COMMANDS = 50, 10
"""Points of a create, and those on the host; fewer would mean that they are not seen."""


@pytest.fixture
def program() -> Iterator[Program]:
    with local_program(image_root()) as program:
        yield program


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "points"


def test_a_create_killed_at_every_point_in_turn_is_one_good_machine(program: Program, log: Path) -> None:
    """The same create again and again, each time killed one point later: among the points are every entry in the
    journal and every write to the store. Once it provisions, it is killed before, within and after commands on the
    host. Then the same for rm."""
    points: list[str] = []
    ids: set[str] = set()
    for done in again_and_again(program, "create", "m", log=log):
        points.append(done.point)
        ids |= machine_ids(program)
        assert len(hosts(program)) <= 1, done
    assert done.code == 0, done
    assert len(set(points)) > ENOUGH
    assert len({point for point in points if point.startswith("ssh")}) > COMMANDS
    assert ids == machine_ids(program)
    assert len(ids) == 1
    (row,) = json.loads(program.ok("ls", "--format", "json"))
    assert (row["State"], row["Error"]) == ("Running", "")
    assert program.ok("ssh", "m", "systemctl is-active pyengine").strip() == "active"
    assert program.ok("ssh", "m", "ls -A /opt/pymachine/releases | wc -l").strip() == "1"

    for number in itertools.count(1):
        done = attempt(program, number, "rm", "-y", "m", log=log)
        if "m" not in program.ok("ls", "-q").split():
            break
        assert done.killed, done
    assert left_of(program) == [], done
    program.ok("rm", "-f", "m")
    assert list((program.store / "machines").iterdir()) == []


def test_a_create_killed_after_any_journal_step_goes_on_or_is_removed_wholly(program: Program, log: Path) -> None:
    """Each time from the start: what one killed create left, the next finishes or one rm removes. Also while
    commands run on the host."""
    program.ok("create", "m")  # the store and its CA are there from now on, so that runs are alike
    program.ok("rm", "-y", "m")
    attempt(program, 0, "create", "m", log=log)
    points = log.read_text().splitlines()
    remove(program, points[-1])
    opened = [point for point in points if point.startswith("open")]
    steps = [("open", number) for number, point in enumerate(opened, 1) if "journal.jsonl" in point]
    during = [("ssh during", number) for number in range(1, sum(point.startswith("ssh during") for point in points), 4)]
    assert len(steps) >= STEPS
    assert len(during) > COMMANDS / 4
    for count, (only, number) in enumerate([*steps, *during]):
        done = attempt(program, number, "create", "m", log=log, only=only)
        assert done.killed, done
        if count % 4 == 0:
            program.ok("create", "m")
            assert len(hosts(program)) == len(machine_ids(program)) == 1, done
        remove(program, done)


def remove(program: Program, after: Attempt | str) -> None:
    """One rm; nothing may be left."""
    program.ok("rm", "-y", "m")
    assert left_of(program) == [], after
    assert list((program.store / "machines").iterdir()) == [], after


def machine_ids(program: Program) -> set[str]:
    """Ids of the machines that the local driver has anything of."""
    machines = Path(program.env["PYMACHINE_LOCAL_ROOT"]) / "machines"
    return {path.name for path in machines.iterdir()} if machines.exists() else set()


def hosts(program: Program) -> list[str]:
    """The systemd-nspawn processes under the local root."""
    root = program.env["PYMACHINE_LOCAL_ROOT"]
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")[0]
            if command.endswith(b"systemd-nspawn") and str((process / "cwd").readlink()).startswith(root):
                found.append(process.name)
        except OSError:
            continue
    return found
