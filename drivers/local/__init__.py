"""Driver ``local``: real systemd Linux hosts on this computer, sharing its kernel.

`LocalDriver` is imported when it is first asked for, so that naming the driver costs nothing: for root the driver
itself, for other users one that lets the privileged helper work, and where there is no Linux one that says so.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymachine.drivers.local.driver import LocalDriver

__all__ = ["LocalDriver"]


def __getattr__(name: str) -> Any:
    if name != "LocalDriver":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if not _on_linux():
        from pymachine.drivers.local import elsewhere

        return elsewhere.LocalDriver
    if os.geteuid() != 0:
        from pymachine.drivers.local.privileged import proxy

        return proxy.LocalDriver
    from pymachine.drivers.local import driver

    return driver.LocalDriver


def require_linux() -> None:
    """Raise `PreCreateCheckFailed` where there is no Linux kernel to be shared."""
    from pymachine.machine.errors import PreCreateCheckFailed

    if not _on_linux():
        raise PreCreateCheckFailed(
            "the local driver is for Linux: its machines share the kernel",
            hint="use another driver, or run pymachine in a Linux virtual machine (on Windows: WSL 2)",
        )


def _on_linux() -> bool:
    return sys.platform.startswith("linux")
