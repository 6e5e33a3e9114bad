"""``make demo`` and ``make clean``: the tour on this computer, and nothing left of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.drivers.local.removal import remove_tree
from support.localmachine import traces
from support.localprogram import image_root
from support.program import PROGRAM, environment

pytestmark = [pytest.mark.root, pytest.mark.slow]

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for a home, a local root, and for what a killed test run would have left."""
    made = Path(tempfile.mkdtemp(prefix="pymachine-test-", dir="/var/tmp"))
    try:
        yield made
    finally:
        subprocess.run([PROGRAM, "rm", "-f", "-y", "demo"], env=env_of(made), capture_output=True)
        remove_tree(made)


def env_of(place: Path) -> dict[str, str]:
    own = {"HOME": str(place / "home"), "PYMACHINE_LOCAL_ROOT": str(place / "root")}
    return environment({**own, "PYMACHINE_IMAGE_ROOT": image_root()})


def run(script: str, place: Path, *args: str) -> str:
    done = subprocess.run(
        [str(SCRIPTS / script), *args], env=env_of(place), capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, f"{script}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def outside(root: Path) -> tuple[list[str], list[str], list[Path]]:
    """What the machines of a local root have on this computer: bridges, their rules, control groups."""
    links = Path("/sys/class/net").glob("*/ifalias")
    bridges = [link.parent.name for link in links if link.read_text().strip() == f"pymachine {root}"]
    ids = [folder.name for folder in root.glob("machines/*")]
    return bridges, rules_with(bridges), groups_of(ids)


def rules_with(names: list[str]) -> list[str]:
    saved = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    return [line for line in saved.splitlines() if any(name in line for name in names)]


def groups_of(ids: list[str]) -> list[Path]:
    return [path for each in ids for path in Path("/sys/fs/cgroup").glob(f"*/pymachine-local-{each}")]


def test_the_tour_twice_and_nothing_left_after_clean(place: Path) -> None:
    (place / "home").mkdir()
    root = place / "root"

    first = run("demo", place)
    assert "hello from a container on demo" in first
    assert "pymachine create -d local demo" in first
    bridges, rules, groups = outside(root)
    ids = [folder.name for folder in root.glob("machines/*")]
    assert len(ids) == 1
    assert all((bridges, rules, groups, traces(root)))

    again = run("demo", place)
    assert "hello from a container on demo" in again
    assert "create -d local demo" not in again

    assert "Successfully removed demo" in run("clean", place, str(place))
    assert [folder.name for folder in root.glob("machines/*")] == []
    assert [name for name in bridges if Path("/sys/class/net", name).exists()] == []
    assert rules_with(bridges) == []
    assert groups_of(ids) == []
    assert traces(root) == []


def test_clean_finds_what_a_killed_test_run_left_in_the_folders_it_is_given(place: Path) -> None:
    """A machine whose store is gone, too; and nothing beside these folders."""
    (place / "home").mkdir()
    lost, kept = place / "pymachine-test-lost", place / "mine"
    kept.mkdir()
    env = {**env_of(place), "PYMACHINE_LOCAL_ROOT": str(lost / "root")}
    subprocess.run([PROGRAM, "-s", str(lost / "store"), "create", "-d", "local", "lost"], env=env, check=True)
    shutil.rmtree(lost / "store")
    assert traces(lost)

    cleaned = run("clean", place, str(place))

    assert f"removed folder {lost}" in cleaned
    assert not lost.exists()
    assert traces(lost) == []
    assert kept.exists()


def test_every_target_of_the_makefile_that_the_readme_names_is_there() -> None:
    dry = ["make", "-n", "-C", str(SCRIPTS.parent), "setup", "demo", "test", "lint", "bench", "clean"]

    assert subprocess.run(dry, capture_output=True, env=dict(os.environ)).returncode == 0
