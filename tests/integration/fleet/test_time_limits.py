"""Machines that go by themselves, by the real program and its watcher; without hosts."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.program import Program
from support.waiting import eventually

CREATE = ("create", "-d", "none", "--url", "tcp://127.0.0.1:1")


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """The program with an empty store; its watcher ends with the last machine."""
    program = Program(tmp_path / "store")
    yield program
    names = program.run("ls", "-q").stdout.split()
    if names:
        program.run("rm", "-f", *names)
    eventually(lambda: not watchers(program))


def watchers(program: Program) -> list[int]:
    """Processes that watch this store."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"pymachine.machine.lifetime.watcher" in words and os.fsencode(program.store) in words:
            found.append(int(entry.name))
    return found


def machines(program: Program) -> list[str]:
    return sorted(path.parent.name for path in (program.store / "machines").glob("[!.]*/record.json"))


def test_it_goes_though_nobody_runs_pymachine_and_the_watcher_goes_with_it(program: Program) -> None:
    program.ok(*CREATE, "--ttl", "3s", "brief")
    program.ok(*CREATE, "stays")
    assert watchers(program)

    eventually(lambda: machines(program) == ["stays"])
    eventually(lambda: not watchers(program))
    assert "brief: removed" in (program.store / "expiry.log").read_text()


def test_when_it_goes_is_seen_and_rm_cancels_it(program: Program) -> None:
    program.ok(*CREATE, "--ttl", "2h", "m")
    (row,) = json.loads(program.ok("ls", "--format", "json"))
    assert row["ExpiresAt"] == json.loads(program.ok("inspect", "m"))["Pymachine"]["ExpiresAt"] != ""
    assert program.ok("ls").splitlines()[0].split()[-2:] == ["EXPIRES", "ERRORS"]

    program.ok("rm", "-y", "m")

    assert list((program.store / "expiring").iterdir()) == []
    eventually(lambda: not watchers(program))


def test_after_a_reboot_any_command_sees_to_it(program: Program) -> None:
    """A reboot ends the watcher, and nothing else."""
    program.ok(*CREATE, "--ttl", "4s", "m")
    eventually(lambda: bool(watchers(program)))
    for pid in watchers(program):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not watchers(program))
    time.sleep(4.5)
    assert machines(program) == ["m"]

    program.run("ls", "-q")

    eventually(lambda: machines(program) == [])


def test_a_renamed_machine_goes_under_its_new_name(program: Program) -> None:
    program.ok(*CREATE, "--ttl", "5s", "m")
    program.ok("rename", "m", "n")
    assert [path.name for path in (program.store / "expiring").iterdir()] == ["n"]

    eventually(lambda: machines(program) == [])


def test_a_span_that_is_none_makes_nothing(program: Program) -> None:
    done = program.run(*CREATE, "--ttl", "soon", "m")

    assert done.returncode == 1
    assert done.stderr.startswith("--ttl: 'soon' is no span of time")
    assert not program.store.exists()
