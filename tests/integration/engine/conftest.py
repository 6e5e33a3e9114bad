"""One real engine for the session, with busybox in it, and the real docker CLI."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.dockercli import give_busybox
from support.engineprocess import EngineProcess
from support.engineprocess import engine as running_engine


@pytest.fixture(scope="session")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """The session's engine."""
    if shutil.which("docker") is None:
        pytest.skip("no docker CLI here")
    with running_engine(tmp_path_factory.mktemp("engine")) as made:
        give_busybox(made)
        yield made


@pytest.fixture
def engine(shared_engine: EngineProcess) -> Iterator[EngineProcess]:
    """The session's engine; what a test leaves is removed after it."""
    yield shared_engine
    left = shared_engine.run("ps", "-aq").stdout.split()
    if left:
        shared_engine.run("rm", "-fv", *left)


@pytest.fixture
def own_engine(tmp_path: Path) -> Iterator[EngineProcess]:
    """An engine of the test's own, to be killed and restarted."""
    if shutil.which("docker") is None:
        pytest.skip("no docker CLI here")
    with running_engine(tmp_path) as made:
        give_busybox(made)
        yield made
