"""The runtime where version 2 is the only control group tree: its tests again, with nothing else mounted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pymachine.engine.runtime import cgroups

pytestmark = [pytest.mark.root, pytest.mark.slow]

_FILES = ("test_life.py", "test_failed_starts.py", "test_exec.py", "test_isolation.py", "test_cgroups.py")
_ONLY_V2 = 'mount --make-rprivate / && umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'


@pytest.mark.skipif(not cgroups.hierarchies().legacy, reason="that is how the other tests ran already")
@pytest.mark.skipif(not cgroups.hierarchies().unified, reason="this kernel has no control groups version 2")
def test_containers_live_as_well_with_control_groups_version_two_alone() -> None:
    """In a mount namespace of their own; the controllers may be missing from the tree, all else is there."""
    folder = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(str(folder / name) for name in _FILES)]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", _ONLY_V2, "sh", *command],
        capture_output=True, text=True, cwd=folder.parents[2], timeout=300, env={**os.environ, "PYTEST_ADDOPTS": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
