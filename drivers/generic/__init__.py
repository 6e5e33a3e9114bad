"""Driver ``generic``: any host that can be reached by SSH.

`GenericDriver` is imported when it is first asked for, so that naming the driver costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymachine.drivers.generic.driver import GenericDriver

__all__ = ["GenericDriver"]


def __getattr__(name: str) -> Any:
    if name == "GenericDriver":
        from pymachine.drivers.generic.driver import GenericDriver

        return GenericDriver
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
