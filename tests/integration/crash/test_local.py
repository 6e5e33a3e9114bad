"""Local machines: kill -9 before each thing that create and rm do, then the same again. One machine, or nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.killpoints import Attempt, again_and_again, attempt, complete
from support.localmachine import nspawns
from support.localprogram import image_root, left_of, local_program
from support.program import Program

pytestmark = [pytest.mark.root, pytest.mark.slow]

STEPS = 10
"""Journal entries of a create, at least."""
ENOUGH, COMMANDS = 100, 30
"""Points of a create, and those on the host; fewer would mean that they are not seen."""


@pytest.fixture
def program() -> Iterator[Program]:
    with local_program(image_root()) as program:
        yield program


def test_a_create_killed_at_every_point_in_turn_is_one_good_machine(program: Program) -> None:
    """The same create again and again, each time killed one point later: among the points are every entry in the
    journal, every write to the store, and every command on the host, before and while it runs. Then a create after half
    a rm, and the same for rm."""
    points: list[str] = []
    ids: set[str] = set()
    for done in again_and_again(lambda seen: attempt(program, 0, "create", "m", seen=seen)):
        points.append(done.point)
        ids |= machine_ids(program)
        assert len(hosts(program)) <= 1, done
    assert done.code == 0 or done.output == 'Docker machine "m" already exists\n', done
    assert len(points) > ENOUGH
    assert len([point for point in points if point.startswith("ssh")]) > COMMANDS
    assert ids == machine_ids(program)
    assert len(ids) == len(hosts(program)) == 1
    (row,) = json.loads(program.ok("ls", "--format", "json"))
    assert (row["State"], row["Error"]) == ("Running", "")
    assert program.ok("ssh", "m", "systemctl is-active pyengine").strip() == "active"
    assert program.ok("ssh", "m", "ls -A /opt/pymachine/releases | wc -l").strip() == "1"

    done = attempt(program, 1, "rm", "-y", "m", only="subprocess.Popen")
    assert "removing" in (program.store / "machines/m/record.json").read_text(), done
    assert "Finishing the removal" in attempt(program, 0, "create", "m").output
    assert len(hosts(program)) == len(machine_ids(program)) == 1
    assert machine_ids(program) != ids

    for done in again_and_again(lambda seen: attempt(program, 0, "rm", "-y", "m", seen=seen)):
        if not (program.store / "machines/m/record.json").exists():
            break
        assert done.killed, done
    assert left_of(program) == [], done
    complete(program, "rm", "-f", "m")
    assert list((program.store / "machines").iterdir()) == []


def test_a_create_killed_after_any_journal_step_goes_on_or_is_removed_wholly(program: Program) -> None:
    """Each time from the start: what one killed create left, the next finishes or one rm removes. Also while
    commands run on the host."""
    complete(program, "create", "m")  # the store and its CA are there from now on, so that runs are alike
    complete(program, "rm", "-y", "m")
    points = complete(program, "create", "m")
    remove(program, points[-1])
    steps = [("journal", number) for number in range(1, sum(point.startswith("journal") for point in points) + 1)]
    during = [("ssh during", number) for number in range(1, sum(point.startswith("ssh during") for point in points), 4)]
    assert len(steps) >= STEPS
    assert len(during) > COMMANDS / 8
    for count, (only, number) in enumerate([*steps, *during]):
        done = attempt(program, number, "create", "m", only=only)
        assert done.killed, done
        if count % 4 == 0:
            complete(program, "create", "m")
            assert len(hosts(program)) == len(machine_ids(program)) == 1, done
        remove(program, done)


def remove(program: Program, after: Attempt | str) -> None:
    """One rm; nothing may be left."""
    complete(program, "rm", "-y", "m")
    assert left_of(program) == [], after
    assert list((program.store / "machines").iterdir()) == [], after


def machine_ids(program: Program) -> set[str]:
    """Ids of the machines that the local driver has anything of."""
    machines = Path(program.env["PYMACHINE_LOCAL_ROOT"]) / "machines"
    return {path.name for path in machines.iterdir()} if machines.exists() else set()


def hosts(program: Program) -> list[Path]:
    """The systemd-nspawn processes under the local root."""
    return nspawns(Path(program.env["PYMACHINE_LOCAL_ROOT"]))
