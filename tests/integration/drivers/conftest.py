"""A local root of our own on the real disk, and the image that all tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.drivers.local.images.catalog import Image
from support import localroot


@pytest.fixture(scope="session")
def image() -> Image:
    """The default image, built once and kept for later runs."""
    return localroot.ensure_image("debian-12")


@pytest.fixture(scope="module")
def local_root(image: Image) -> Iterator[Path]:
    """An empty local root."""
    with localroot.local_root() as root:
        yield root
