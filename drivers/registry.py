"""Find drivers by entry point; only the chosen one is imported.

A package adds a driver by naming its class in the entry point group ``pymachine.drivers``:

    [project.entry-points."pymachine.drivers"]
    mine = "mypackage.driver:MyDriver"
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from pymachine.drivers.base import Driver
from pymachine.machine.errors import DriverError, InvalidOption

GROUP = "pymachine.drivers"


def names() -> list[str]:
    """Names of all installed drivers, in order; none is imported."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def load(name: str) -> type[Driver]:
    """The driver's class. Raises `InvalidOption` when it is not installed, `DriverError` when it cannot be used."""
    found = {(entry.value, entry.name): entry for entry in entry_points(group=GROUP, name=name)}
    if not found:
        raise InvalidOption(
            f'Driver "{name}" not found. Do you have the package that provides it installed?',
            hint=f"known drivers: {', '.join(names()) or 'none at all; is pymachine installed?'}",
        )
    if len(found) > 1:
        raise DriverError(f'Driver "{name}" is provided more than once: {", ".join(sorted(v for v, _ in found))}')
    return _load(next(iter(found.values())))


def _load(entry: EntryPoint) -> type[Driver]:
    try:
        driver = entry.load()
    except (ImportError, AttributeError) as error:
        raise DriverError(f'Driver "{entry.name}" ({entry.value}) cannot be loaded: {error}') from error
    if not (isinstance(driver, type) and issubclass(driver, Driver)):
        raise DriverError(f'Driver "{entry.name}" ({entry.value}) is not a subclass of pymachine.drivers.base.Driver')
    if getattr(driver, "name", None) != entry.name:
        raise DriverError(f'Driver "{entry.name}" ({entry.value}) calls itself "{getattr(driver, "name", "")}"')
    return driver
