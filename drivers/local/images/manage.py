"""Build and remove images: directly as root, else by the privileged helper."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any


def build(name: str, *, report: Callable[[str], None], force: bool = False) -> str:
    """Build the image *name* unless it is up to date; returns its digest. Raises what `build.build` raises."""
    if _is_root():
        from pymachine.drivers.local.images.build import build as operation

        return operation(name, report=report, force=force).digest
    return _ask("image.build", name, report, force=force)


def remove(name: str) -> str:
    """Remove an image by name or digest; returns its digest. Raises `DriverError`."""
    if _is_root():
        from pymachine.drivers.local.images.catalog import Catalog
        from pymachine.drivers.local.layout import Layout

        return Catalog(Layout.from_environment().images).remove(name).digest
    return _ask("image.remove", name, lambda text: None, force=False)


def _is_root() -> bool:
    from pymachine.drivers.local import require_linux

    require_linux()
    return os.geteuid() == 0


def _ask(operation: str, name: str, report: Callable[[str], None], *, force: bool) -> str:
    from pymachine.drivers.local.privileged.client import call
    from pymachine.drivers.local.privileged.proxy import roots

    def serve(message: dict[str, Any]) -> None:
        if "tell" in message:
            report(str(message["tell"]))

    return call({"operation": operation, "roots": roots(), "name": name, "force": force}, serve)
