"""The driver contract, on machines that boot in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.drivers.base import Context, Driver
from pymachine.drivers.libvirt import LibvirtDriver
from pymachine.drivers.libvirt.options import Options
from pymachine.drivers.testing import DriverContract
from support.libvirthost import LibvirtHost


@pytest.mark.root
@pytest.mark.slow
class TestLibvirt(DriverContract):
    """Real domains, booted by software emulation."""

    timeout = 900.0

    @pytest.fixture(autouse=True)
    def _outside(self, libvirt_system: LibvirtHost, tiny_image: str, own_library: Path) -> None:
        self._options = Options(
            uri=libvirt_system.uri,
            image=tiny_image,
            domain_type="qemu",
            cpus=1,
            memory="256m",
            disk="1g",
            extra_disk=("8m",),
            pool="contract",
            pool_path=f"{libvirt_system.pool}/contract",
        )

    def new_driver(self, context: Context) -> Driver:
        return LibvirtDriver(self._options, context)

    def _moments(self) -> Iterator[int]:
        """One of create and of remove, which costs boots; `test_crashes` kills at all, and most of them without."""
        yield 2
