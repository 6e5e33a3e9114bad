"""The engine release: the same files give the same digest, and it runs with nothing but a bare Python."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

from pymachine.provisioners import release
from pymachine.provisioners.release import build_release


def test_the_same_files_give_the_same_bytes() -> None:
    first = build_release()
    release.build_release.cache_clear()

    second = build_release()

    assert first == second


def test_the_release_holds_no_client_code() -> None:
    with tarfile.open(fileobj=io.BytesIO(build_release().archive)) as tar:
        names = tar.getnames()

    parts = {name.split("/")[2] for name in names if name.startswith("lib/pymachine/")}
    assert parts == {"__init__.py", "dockerapi", "engine", "swarm"}
    assert not [name for name in names if name.startswith("/") or ".." in name]


def test_the_engine_starts_from_the_release_alone(tmp_path: Path) -> None:
    """With ``-I -S``: no site-packages, no environment, nothing of the checkout."""
    with tarfile.open(fileobj=io.BytesIO(build_release().archive)) as tar:
        tar.extractall(tmp_path)

    result = subprocess.run(
        [sys.executable, "-I", "-S", tmp_path / "bin" / "pyengine", "--version"],
        capture_output=True, text=True, cwd="/", env={},
    )  # fmt: skip

    assert (result.returncode, result.stderr) == (0, "")
    assert build_release().version in result.stdout
