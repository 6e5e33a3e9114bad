"""The runtime in a chroot, as rescue systems and builds of images have it: nobody gets out of a container there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.root, pytest.mark.slow]

_IN_CHROOT = """
top=$1 folder=$PWD
shift
mount --make-rprivate /
mount --rbind / "$top"
exec chroot "$top" sh -c 'cd "$1" && shift && exec "$@"' sh "$folder" "$@"
"""


def test_what_exec_starts_is_in_the_container_when_the_engine_is_in_a_chroot(tmp_path: Path) -> None:
    """The tests of exec and of isolation again, in a mount namespace whose root is not the tests' own."""
    folder = Path(__file__).parent.relative_to(Path(__file__).parents[3])
    top = tmp_path / "top"
    top.mkdir()

    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", _IN_CHROOT, "sh", str(top),
         sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         f"{folder}/test_exec.py", f"{folder}/test_isolation.py"],
        capture_output=True, text=True, cwd=Path(__file__).parents[3], timeout=300,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
