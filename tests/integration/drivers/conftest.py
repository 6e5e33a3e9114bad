"""A local root of our own on the real disk, and the image that all tests share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.drivers.local.images.build import build
from pymachine.drivers.local.images.catalog import Image
from pymachine.drivers.local.layout import Layout
from pymachine.drivers.local.removal import remove_tree

IMAGE_ROOT = Path("/var/lib/pymachine/images")


@pytest.fixture(scope="session")
def image() -> Image:
    """The default image, built once and kept for later runs."""
    layout = Layout(Path("/var/lib/pymachine"), IMAGE_ROOT)
    return build(report=print, layout=layout)


@pytest.fixture(scope="module")
def local_root(image: Image) -> Iterator[Path]:
    """An empty local root; ext4, for an overlay's upper layer cannot lie on every file system."""
    root = Path(tempfile.mkdtemp(prefix="pymachine-test-", dir="/var/tmp"))
    before = {name: os.environ.get(name) for name in ("PYMACHINE_LOCAL_ROOT", "PYMACHINE_IMAGE_ROOT")}
    os.environ["PYMACHINE_LOCAL_ROOT"] = str(root)
    os.environ["PYMACHINE_IMAGE_ROOT"] = str(IMAGE_ROOT)
    try:
        yield root
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        remove_tree(root)  # unlike shutil's, it goes into no mount
