"""A libvirt of the tests' own, an image that they build once, and a tiny one that boots in seconds."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from pymachine.drivers.libvirt.images.library import VMImage
from support.libvirthost import LibvirtHost, available, libvirt_host
from support.tinyvm import tiny_image_of


class Where:
    """In or out of the libvirt's network namespace: in from a test's set-up to the end of its teardown."""

    def __init__(self) -> None:
        self.host: LibvirtHost | None = None
        self._inside = contextlib.ExitStack()

    def enter(self) -> None:
        self.leave()
        if self.host is not None:
            self._inside.enter_context(self.host.entered())

    def leave(self) -> None:
        self._inside.close()


WHERE = Where()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup() -> Generator[None, None, None]:
    WHERE.enter()
    yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Generator[None, None, None]:
    try:
        yield
    finally:
        WHERE.leave()


@pytest.fixture(scope="session")
def built_image() -> VMImage:
    """An image of Debian with cloud-init, built once and kept for later runs (a minute)."""
    if os.geteuid() != 0 or not available():
        pytest.skip("needs root, libvirtd and QEMU (scripts/setup --tests)")
    from pymachine.drivers.libvirt.images.build import build

    return build("debian-12", report=print)


@pytest.fixture(scope="session")
def debian_image(built_image: VMImage) -> str:
    """Its name."""
    return built_image.name


@pytest.fixture(scope="session")
def libvirt_system(debian_image: str) -> Iterator[LibvirtHost]:
    """One for all tests; its machines are emulated, for KVM does not work in every computer that has it.

    The image comes first: in the network namespace its packages could not be fetched.
    """
    pytest.importorskip("libvirt")
    with libvirt_host() as host:
        WHERE.host = host
        WHERE.enter()
        yield host
        WHERE.host = None


@pytest.fixture(scope="session")
def tiny_image(built_image: VMImage, libvirt_system: LibvirtHost) -> str:
    """The path of the tiny image, in a folder of its own that ends with the libvirt."""
    folder = libvirt_system.folder / "tiny"
    folder.mkdir()
    return str(shutil.copy(str(tiny_image_of(built_image)), folder))


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
