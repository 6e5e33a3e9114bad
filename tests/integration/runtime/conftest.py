"""Fixtures of the runtime's tests: a busybox layer for all, a runtime for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.runtimes import Box, unpack_busybox


@pytest.fixture(scope="session")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A busybox root file system, to be used as a layer."""
    return unpack_busybox(tmp_path_factory.mktemp("busybox"))


@pytest.fixture
def box(tmp_path: Path, busybox: Path) -> Iterator[Box]:
    """A runtime with a busybox layer."""
    found = Box(tmp_path, busybox)
    yield found
    found.remove_cgroups()
