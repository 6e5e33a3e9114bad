"""Driver ``libvirt``: virtual machines on any libvirt host, this computer's or another's.

`LibvirtDriver` is imported when it is first asked for, so that naming the driver costs nothing; libvirt's and
pycdlib's modules (the extra ``pymachine[libvirt]``) are imported by this package only, when they are used.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymachine.drivers.libvirt.driver import LibvirtDriver

__all__ = ["LibvirtDriver"]


def __getattr__(name: str) -> Any:
    if name == "LibvirtDriver":
        if sys.platform == "win32":
            raise ImportError("it is for Linux and macOS, where libvirt's library is; on Windows, run it in WSL 2")
        from pymachine.drivers.libvirt.driver import LibvirtDriver

        return LibvirtDriver
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
