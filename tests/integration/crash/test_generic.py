"""Driver ``generic``: kill -9 before each thing that create and rm do, here and on the host that is adopted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.killpoints import Attempt, again_and_again, attempt, complete
from support.localmachine import LocalMachine, local_machine
from support.localroot import ensure_image, local_root
from support.program import Program

pytestmark = [pytest.mark.root, pytest.mark.slow]

ENOUGH, COMMANDS = 80, 30
"""Points of a create, and those on the host; fewer would mean that they are not seen."""


@pytest.fixture
def host() -> Iterator[LocalMachine]:
    """Somebody's host: all that is known of it is how to log in."""
    with local_root():
        ensure_image("debian-12")
        with local_machine("host") as machine:
            yield machine.create()


def test_a_host_is_adopted_and_let_go_however_often_that_is_cut_off(host: LocalMachine, tmp_path: Path) -> None:
    """Killed at every point in turn; what each left in the store is also removed, by a copy of it. Then rm, killed at
    every point in turn; then the host can be adopted anew."""
    # No known_hosts of the user's: another host may have had the address.
    program = Program(tmp_path / "store", {"HOME": str(tmp_path)})
    key = host.driver.ssh_endpoint().key_path
    create = ("create", "-d", "generic", "--generic-ip-address", host.driver.address(), "--generic-ssh-key", str(key))
    points: list[str] = []
    removed: set[frozenset[str]] = set()
    for done in again_and_again(lambda seen: attempt(program, 0, *create, "g", seen=seen)):
        points.append(done.point)
        left = frozenset(files(program))
        if left not in removed:
            removed.add(left)
            check_removal(program, done)
    assert done.code == 0 or done.output == 'Docker machine "g" already exists\n', done
    assert len(points) > ENOUGH
    assert len([point for point in points if point.startswith("ssh")]) > COMMANDS
    check(program)
    check_host(host)
    engine = host.ssh("systemctl show -P MainPID pyengine")

    for done in again_and_again(lambda seen: attempt(program, 0, "rm", "-y", "g", seen=seen)):
        if not (program.store / "machines/g/record.json").exists():
            break
        assert done.killed, done
    complete(program, "rm", "-f", "g")
    assert list((program.store / "machines").iterdir()) == []
    assert host.ssh("systemctl show -P MainPID pyengine") == engine

    complete(program, *create, "again")
    check(program)


def files(program: Program) -> Iterator[str]:
    """Names of all that is in the store, and what the journal says."""
    for path in program.store.rglob("*"):
        if "locks" not in path.parts:
            name = path.name if path.suffix in (".json", ".pem", ".jsonl") else path.stem
            yield f"{path.parent.name}/{name} {path.read_text() if path.suffix == '.jsonl' else ''}"


def check_removal(program: Program, after: Attempt) -> None:
    """One rm, and nothing of the machine is in the store."""
    copy = replace(program, store=program.store.with_name("copy"))
    if program.store.exists():
        shutil.copytree(program.store, copy.store)
    recorded = (copy.store / "machines/g/record.json").exists()
    done = attempt(copy, 0, "rm", "-y" if recorded else "-f", "g")
    machines = copy.store / "machines"
    assert done.code == 0, (after, done)
    assert not machines.exists() or list(machines.iterdir()) == [], (after, done)
    shutil.rmtree(copy.store, ignore_errors=True)


def check(program: Program) -> None:
    """The one machine runs, and its engine answers."""
    (row,) = json.loads(program.ok("ls", "--format", "json"))
    assert (row["State"], row["Error"]) == ("Running", "")
    assert row["DockerVersion"].startswith("v")


def check_host(host: LocalMachine) -> None:
    """It has what create makes, and nothing half made beside it."""
    assert host.ssh("ls -A /opt/pymachine/releases | wc -l") == "1"
    assert host.ssh("find /etc /opt/pymachine -name '.*.??????'") == ""
    assert host.ssh("ls -A /etc/pymachine").split() == ["engine.json", "owner.json", "tls"]
    assert host.ssh("ls -A /etc/pymachine/tls").split() == ["ca.pem", "server-key.pem", "server.pem"]
