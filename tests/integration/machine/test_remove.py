"""What ``rm`` asks, and what stops it."""

from support.fleet import REFUSED
from support.program import NO_MACHINES, Program


def test_remove_asks(program: Program) -> None:
    program.ok("create", "-d", "none", "--none-url", REFUSED, "a")

    assert program.ok("rm", "a", stdin="n\n").endswith("Are you sure? (y/n): ")
    assert program.ok("rm", "a").startswith("About to remove a\nWARNING: This action will delete both local reference")
    assert program.ok("ls", "-q") == "a\n"
    assert program.ok("rm", "a", stdin="y\n").endswith("Successfully removed a\n")
    assert program.ok("ls", "-q") == ""


def test_remove_goes_on_after_a_failure(program: Program) -> None:
    program.ok("create", "-d", "none", "--none-url", REFUSED, "a")
    done = program.run("rm", "-y", "nope", "a")

    assert done.returncode == 1
    assert "Successfully removed a" in done.stdout
    assert done.stderr.startswith('Error removing host "nope": Docker machine "nope" does not exist.')


def test_forced_removal_of_what_is_not_there_exits_0(program: Program) -> None:
    done = program.run("rm", "-f", "nope")

    assert done.returncode == 0
    assert 'Error removing host "nope"' in done.stderr
    assert done.stderr.endswith('Can\'t remove "nope"\n')
    assert "Successfully" not in done.stdout


def test_a_damaged_record_needs_force(program: Program) -> None:
    program.ok("create", "-d", "none", "--none-url", REFUSED, "a")
    (program.store / "machines" / "a" / "record.json").write_text("{")

    assert program.run("rm", "-y", "a").returncode == 1
    assert "Successfully removed a" in program.ok("rm", "-f", "a")
    assert program.ok("ls") == NO_MACHINES


def test_remove_without_names(program: Program) -> None:
    done = program.run("rm")

    assert done.returncode == 1
    assert done.stdout.startswith("Usage: pymachine rm ")
    assert done.stderr == "Error: Expected to get one or more machine names as arguments\n"
