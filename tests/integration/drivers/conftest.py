"""A local root of our own on the real disk, and the image that all tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.drivers.local.images.catalog import Image
from support import localroot
from support.localmachine import nothing_left


@pytest.fixture(scope="session")
def image() -> Image:
    """The default image, built once and kept for later runs."""
    return localroot.ensure_image("debian-12")


@pytest.fixture(scope="module")
def local_root(image: Image) -> Iterator[Path]:
    """An empty local root."""
    with localroot.local_root() as root:
        yield root


@pytest.fixture(scope="module")
def empty_root(local_root: Path) -> Iterator[None]:
    """After all tests of a file there is no trace of a machine."""
    with nothing_left(local_root):
        yield


@pytest.fixture
def nothing_is_left(local_root: Path) -> Iterator[None]:
    """After each test there is no trace of a machine, inside the local root or out of it."""
    with nothing_left(local_root):
        yield
