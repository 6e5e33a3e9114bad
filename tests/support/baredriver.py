"""Machines of the libvirt driver that nobody provisions: a driver ``bare``, as somebody else's package brings it."""

from __future__ import annotations

from pathlib import Path

DRIVER = '''
from pymachine.drivers.base import Features
from pymachine.drivers.libvirt import LibvirtDriver


class BareDriver(LibvirtDriver):
    """Machines of the libvirt driver that nobody provisions."""

    name = "bare"
    description = "libvirt, without an engine"
    features = Features(provisions=False)
'''


def install_bare_driver(place: Path) -> dict[str, str]:
    """Write the package to *place*; the environment in which it is the driver."""
    (place / "bare.py").write_text(DRIVER)
    facts = place / "bare-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: bare\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[pymachine.drivers]\nbare = bare:BareDriver\n")
    return {"PYTHONPATH": str(place), "MACHINE_DRIVER": "bare"}
