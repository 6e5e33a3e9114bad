"""A local root of a test's own on the real disk, with the images that all tests share."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pymachine.drivers.local.images.build import build
from pymachine.drivers.local.images.catalog import Image
from pymachine.drivers.local.layout import Layout
from pymachine.drivers.local.removal import remove_tree

IMAGE_ROOT = Path(os.environ.get("PYMACHINE_IMAGE_ROOT", "/var/lib/pymachine/images"))
_VARIABLES = ("PYMACHINE_LOCAL_ROOT", "PYMACHINE_IMAGE_ROOT")


@contextlib.contextmanager
def local_root() -> Iterator[Path]:
    """An empty local root, which drivers made in the block use; ext4, for an overlay cannot lie on everything."""
    root = Path(tempfile.mkdtemp(prefix="pymachine-test-", dir="/var/tmp"))
    before = {name: os.environ.get(name) for name in _VARIABLES}
    os.environ.update(zip(_VARIABLES, (str(root), str(IMAGE_ROOT)), strict=True))
    try:
        yield root
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        remove_tree(root)  # unlike shutil's, it goes into no mount


def ensure_image(name: str) -> Image:
    """The image, built unless it is there."""
    return build(name, report=print, layout=Layout(Path("/var/lib/pymachine"), IMAGE_ROOT))
