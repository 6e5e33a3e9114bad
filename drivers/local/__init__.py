"""Driver ``local``: real systemd Linux hosts on this computer, sharing its kernel.

`LocalDriver` is imported when it is first asked for, so that naming the driver costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymachine.drivers.local.driver import LocalDriver

__all__ = ["LocalDriver"]


def __getattr__(name: str) -> Any:
    if name == "LocalDriver":
        from pymachine.drivers.local.driver import LocalDriver

        return LocalDriver
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
