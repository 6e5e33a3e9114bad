"""A libvirt of the tests' own, an image that they build once, and a tiny one that boots in seconds."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.libvirthost import LibvirtHost, available, libvirt_host


@pytest.fixture(scope="session")
def libvirt_system() -> Iterator[LibvirtHost]:
    """One for all tests; its machines are emulated, for KVM does not work in every computer that has it."""
    if os.geteuid() != 0 or not available():
        pytest.skip("needs root, libvirtd and QEMU (scripts/setup --tests)")
    pytest.importorskip("libvirt")
    with libvirt_host() as host:
        yield host


@pytest.fixture(scope="session")
def debian_image() -> str:
    """The name of an image of Debian with cloud-init, built once and kept for later runs (a minute)."""
    from pymachine.drivers.libvirt.images.build import build

    return build("debian-12", report=print).name


@pytest.fixture(scope="session")
def tiny_image(debian_image: str) -> Iterator[str]:
    """The path of the tiny image."""
    from pymachine.drivers.libvirt.images.library import Library
    from support.tinyvm import make_tiny_image

    source = Library().find(debian_image)
    assert source is not None
    folder = Path(tempfile.mkdtemp(prefix="pymachine-tiny-", dir="/var/tmp"))
    try:
        yield str(make_tiny_image(source.path, folder))
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def own_library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty library of images for a module's tests that fetch."""
    folder = tmp_path_factory.mktemp("vm-images")
    before = os.environ.get("PYMACHINE_VM_IMAGE_ROOT")
    os.environ["PYMACHINE_VM_IMAGE_ROOT"] = str(folder)
    try:
        yield folder
    finally:
        if before is None:
            del os.environ["PYMACHINE_VM_IMAGE_ROOT"]
        else:
            os.environ["PYMACHINE_VM_IMAGE_ROOT"] = before
