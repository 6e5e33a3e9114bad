"""``scripts/setup`` says in one line why it cannot go on, and what helps. Its programs are stand-ins that fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).resolve().parents[2] / "scripts" / "setup"
PYTHONS = ("python3", *(f"python3.{minor}" for minor in range(11, 15)))
GOOD = 'case "$*" in *version_info*|*ensurepip*) ;; -V) echo Python 3.12.0 ;; *) echo "{}" >&2; exit 1 ;; esac'


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A checkout with nothing but the script."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "programs").mkdir()
    shutil.copy(SETUP, tmp_path / "scripts")
    (tmp_path / "pyproject.toml").touch()
    return tmp_path


def setup(place: Path, python: str, *args: str) -> list[str]:
    """Run it with a python3 that is this shell script; what it says on standard error."""
    for name in PYTHONS:
        program = place / "programs" / name
        program.write_text(f"#!/bin/sh\n{python}\n")
        program.chmod(0o755)
    env = {**os.environ, "PATH": f"{place / 'programs'}:{os.environ['PATH']}"}
    done = subprocess.run([place / "scripts" / "setup", *args], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    return done.stderr.splitlines()


def test_too_old_a_python(place: Path) -> None:
    said = setup(place, '[ "$1" = -V ] && echo Python 3.9.2 || exit 1', "--lint")

    assert said == [
        "setup: Python 3.11 or newer is needed, and python3 is Python 3.9.2",
        "       install a newer one beside it, as python3.11",
    ]


@pytest.mark.parametrize(
    ("told", "why", "remedy"),
    [
        ("ERROR: Could not install: [Errno 28] No space left on device", "Could not install", "free some disk space"),
        (
            "ERROR: No matching distribution\n(Temporary failure in name resolution)",
            "No matching",
            "is there a network",
        ),
        ("something else", "something else", "the whole output is in .cache/pip.log"),
    ],
)
def test_an_environment_that_cannot_be_made(place: Path, told: str, why: str, remedy: str) -> None:
    first, second = setup(place, GOOD.format(told), "--lint")

    assert first.startswith(f"setup: making the virtual environment failed: {why}")
    assert second.strip().startswith(remedy)
    assert not (place / ".venv" / ".stamp").exists()


def test_an_unknown_option_and_a_place_where_nothing_can_be_written(place: Path) -> None:
    assert setup(place, GOOD, "--test")[0] == "setup: there is no option --test"
    (place / ".cache").touch()
    assert setup(place, GOOD, "--lint")[0] == f"setup: cannot write in {place}/.cache"
