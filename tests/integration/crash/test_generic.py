"""Driver ``generic``: kill -9 before each thing that create and rm do, here and on the host that is adopted."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.killpoints import again_and_again, attempt
from support.localmachine import LocalMachine, local_machine
from support.localroot import ensure_image, local_root
from support.program import Program

pytestmark = [pytest.mark.root, pytest.mark.slow]

COMMANDS = 5


@pytest.fixture
def host() -> Iterator[LocalMachine]:
    """Somebody's host: all that is known of it is how to log in."""
    with local_root():
        ensure_image("debian-12")
        with local_machine("host") as machine:
            yield machine.create()


def test_a_host_is_adopted_and_let_go_however_often_that_is_cut_off(host: LocalMachine, tmp_path: Path) -> None:
    """Killed at every point in turn; then rm, killed at every point in turn; then it can be adopted anew."""
    # No known_hosts of the user's: another host may have had the address.
    program, log = Program(tmp_path / "store", {"HOME": str(tmp_path)}), tmp_path / "points"
    key = host.driver.ssh_endpoint().key_path
    create = ("create", "-d", "generic", "--generic-ip-address", host.driver.address(), "--generic-ssh-key", str(key))
    points: set[str] = set()
    for done in again_and_again(program, *create, "g", log=log, stride=3, on_host="ssh during"):
        points.add(done.point)
    assert done.code == 0, done
    assert len({point for point in points if point.startswith("ssh")}) > COMMANDS
    check(program)
    engine = host.ssh("systemctl show -P MainPID pyengine")

    for number in itertools.count(1, 2):
        done = attempt(program, number, "rm", "-y", "g", log=log)
        if "g" not in program.ok("ls", "-q").split():
            break
        assert done.killed, done
    program.ok("rm", "-f", "g")
    assert list((program.store / "machines").iterdir()) == []
    assert host.ssh("systemctl show -P MainPID pyengine") == engine

    program.ok(*create, "again")
    check(program)


def check(program: Program) -> None:
    """The one machine runs, and its engine answers."""
    (row,) = json.loads(program.ok("ls", "--format", "json"))
    assert (row["State"], row["Error"]) == ("Running", "")
    assert row["DockerVersion"].startswith("v")
