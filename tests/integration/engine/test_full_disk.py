"""A disk that fills up: what runs can be stopped, waited for and removed; new starts are refused clearly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.dockercli import beside, give_busybox, inspect
from support.engineprocess import EngineProcess
from support.engineprocess import engine as running_engine
from support.smalldisk import fill, small_disk
from support.waiting import eventually

pytestmark = pytest.mark.root


@pytest.fixture
def small(tmp_path: Path) -> Iterator[EngineProcess]:
    """An engine whose data lie on a file system of 24 MiB."""
    with small_disk(tmp_path / "data", "24m"), running_engine(tmp_path) as made:
        give_busybox(made)
        yield made


def test_a_full_disk(small: EngineProcess) -> None:
    for name in ("stopped", "killed"):
        small.docker("run", "-d", "--name", name, "busybox", "sleep", "1000")
    filler = fill(small.folder / "data")
    with beside(small, "wait", "stopped") as waiting:
        small.docker("stop", "-t", "0", "stopped")
        assert waiting.communicate(timeout=10)[0] == "137\n"
    done = small.run("run", "-d", "busybox", "sleep", "1000")
    assert done.returncode == 125
    assert "No space left" in done.stderr
    small.docker("rm", "-f", "killed")
    filler.unlink()
    assert small.docker("start", "stopped")
    assert inspect(small, "stopped")["State"]["Running"] is True
    eventually(lambda: small.docker("ps", "-aq").count("\n") == 1)
