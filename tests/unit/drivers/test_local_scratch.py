"""Scratch folders of checks that were killed go; those of running ones stay."""

from __future__ import annotations

import os
from pathlib import Path

from pymachine.drivers.local.checks import SCRATCH, STALE_SECONDS, sweep_scratch


def test_old_ones_go(tmp_path: Path) -> None:
    for name in (f"{SCRATCH}old", f"{SCRATCH}new", "other"):
        (tmp_path / name / "u").mkdir(parents=True)
        age = 0 if name.endswith("new") else STALE_SECONDS * 2
        os.utime(tmp_path / name, (os.stat(tmp_path).st_mtime - age,) * 2)
    sweep_scratch(tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{SCRATCH}new", "other"]
