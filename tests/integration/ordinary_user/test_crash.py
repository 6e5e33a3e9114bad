"""Kill -9 of the client, and of the helper that sudo runs, before each thing that either does; then the same again."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pymachine.drivers.local.privileged.client import MODULE
from support import killed
from support.killpoints import Attempt, Killer, again_and_again
from support.localmachine import traces
from support.ordinaryuser import OrdinaryUser

pytestmark = [pytest.mark.root, pytest.mark.slow]

ENOUGH = 50
"""Points of a create in the client; fewer would mean that they are not seen."""
HELPERS = 30
"""Points of a create in the helper."""
ENDED = "the privileged helper has ended"


@dataclass
class Rig:
    """The user's program, and a helper that dies where it is told to."""

    user: OrdinaryUser
    killer: Killer
    plan: Path
    log: Path

    def run(self, *args: str, seen: Collection[str] | None = None) -> Attempt:
        """The client up to the first point that was not *seen*, or to its end. Commands on the host are no points: the
        client sends them as root's does, without its helper, and ``crash/test_local.py`` kills that at each."""
        where: dict[str, Any] = {} if seen is None else {"but": "ssh", "seen": list(seen)}
        return self.killer.run(["-s", str(self.user.store), *args], self.user.environment(), **where)

    def run_helper(self, *args: str, seen: Collection[str]) -> Attempt:
        """The client to its end, and its helper up to the first point that was not *seen*."""
        self.log.write_text("")
        self.plan.write_text(json.dumps({"log": str(self.log), "seen": list(seen)}))
        try:
            done = self.run(*args)
        finally:
            self.plan.unlink()
        points = self.log.read_text().splitlines()
        last = points[-1] if points else ""
        return Attempt(bool(points) and last not in seen, last, done.code, done.output)

    def exists(self, name: str) -> bool:
        """Whether there is still a record."""
        return (self.user.store / "machines" / name / "record.json").exists()

    def complete(self, *args: str) -> str:
        """A run that must end well."""
        done = self.run(*args)
        assert done.code == 0, done
        return done.output


@pytest.fixture(scope="module")
def rig(user: OrdinaryUser) -> Iterator[Rig]:
    packages = Path(user.python).parent.parent / f"lib/python3.{sys.version_info.minor}/site-packages"
    script = packages / "killed.py"
    shutil.copy(killed.__file__, script)
    plan = packages / "killed.json"
    # Python runs such a file when it starts (the module site), also with -I; sitecustomize may be the distribution's.
    (packages / "killed.pth").write_text("import killed_at_start\n")
    (packages / "killed_at_start.py").write_text(
        f"import os, sys\nif sys.orig_argv[-1] == {MODULE!r} and os.path.exists({str(plan)!r}):\n"
        f"    import killed\n    killed.watch({str(plan)!r})\n"
    )
    owner = {"user": user.uid, "group": user.uid, "extra_groups": []}
    killer = Killer(user.python, str(script), env=user.environment(), cwd=user.home, **owner)
    try:
        yield Rig(user, killer, plan, packages / "killed.log")
    finally:
        killer.close()


def check(rig: Rig, name: str) -> None:
    """It runs, its engine answers, and all in the store is the user's."""
    (row,) = json.loads(rig.user.ok("ls", "--format", "json"))
    assert (row["Name"], row["State"], row["Error"]) == (name, "Running", "")
    assert row["DockerVersion"].startswith("v")
    assert {path.lstat().st_uid for path in rig.user.store.rglob("*")} == {rig.user.uid}


def check_gone(root: Path, after: Attempt) -> None:
    """Nothing of any machine is left on the computer."""
    assert traces(root) == [], after
    assert not list((root / "machines").glob("*")), after
    assert json.loads((root / "network/state.json").read_text())["subnets"] == {}, after


def test_a_client_killed_at_every_point_in_turn(rig: Rig, root: Path) -> None:
    """Create again and again until it is one good machine, then rm until there is nothing."""
    points = []
    for done in again_and_again(lambda seen: rig.run("create", "m", seen=seen)):
        points.append(done.point)
        assert len(list((root / "machines").glob("*"))) <= 1, done
    assert done.code == 0 or done.output == 'Docker machine "m" already exists\n', done
    assert len(points) > ENOUGH
    check(rig, "m")

    for done in again_and_again(lambda seen: rig.run("rm", "-y", "m", seen=seen)):
        if not rig.exists("m"):
            break
        assert done.killed, done
    check_gone(root, done)


def test_a_helper_killed_at_every_point_in_turn(rig: Rig, root: Path) -> None:
    """The client says so each time, and the same command goes on."""
    points = []
    for done in again_and_again(lambda seen: rig.run_helper("create", "h", seen=seen)):
        points.append(done.point)
        assert not done.killed or (done.code == 1 and ENDED in done.output), done
        assert len(list((root / "machines").glob("*"))) <= 1, done
    assert done.code == 0, done
    assert len(points) > HELPERS
    check(rig, "h")

    for done in again_and_again(lambda seen: rig.run_helper("rm", "-y", "h", seen=seen)):
        assert not done.killed or (done.code == 1 and ENDED in done.output), done
    assert done.code == 0, done
    assert not rig.exists("h")
    check_gone(root, done)
