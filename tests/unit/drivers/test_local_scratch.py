"""Scratch folders of checks that were killed go at once; those of running ones stay."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from pymachine.drivers.local.checks import SCRATCH, scratch, sweep_scratch

CHECK = """
import pathlib, sys
from pymachine.drivers.local.checks import scratch
with scratch(pathlib.Path(sys.argv[1])) as (path, _):
    (path / "u").mkdir()
    print(path.name, flush=True)
    sys.stdin.read()
"""


def test_those_of_the_dead_go(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", CHECK, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as check:
        assert check.stdout is not None
        theirs = check.stdout.readline().strip()
        with scratch(tmp_path) as (ours, _):
            sweep_scratch(tmp_path)
            assert {path.name for path in tmp_path.iterdir()} == {theirs, ours.name, "other"}
            check.send_signal(signal.SIGKILL)
            check.wait()
            assert theirs.startswith(SCRATCH)
            assert (tmp_path / theirs).is_dir()

            sweep_scratch(tmp_path)
            assert {path.name for path in tmp_path.iterdir()} == {ours.name, "other"}
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_one_that_is_swept_up_before_it_is_locked_is_made_anew(tmp_path: Path) -> None:
    """Three processes at it, many times: none finds its folder gone while it is at work."""
    script = (
        "import pathlib, sys\n"
        "from pymachine.drivers.local.checks import scratch, sweep_scratch\n"
        "place = pathlib.Path(sys.argv[1])\n"
        "for _ in range(100):\n"
        "    sweep_scratch(place)\n"
        "    with scratch(place) as (path, _):\n"
        "        (path / 'u').mkdir(); (path / 'u').rmdir()\n"
    )
    racing = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) for _ in range(3)]
    assert [process.wait() for process in racing] == [0, 0, 0]
    assert list(tmp_path.iterdir()) == []
