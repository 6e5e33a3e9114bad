"""Find drivers by entry point; only the chosen one is imported.

A package adds a driver by naming its class in the entry point group ``pymachine.drivers``:

    [project.entry-points."pymachine.drivers"]
    mine = "mypackage.driver:MyDriver"

Our own drivers are known by `OURS` as well: looking through the entry points of everything that is installed takes
longer than `status` may.
"""

from __future__ import annotations

import importlib
import operator
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pymachine.drivers.base import Driver
from pymachine.machine.errors import DriverError, InvalidOption

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "pymachine.drivers"
ALIASES: Mapping[str, str] = {"aws": "amazonec2"}
"""Other names of our own drivers; records have the first."""
OURS: Mapping[str, str] = {
    "amazonec2": "pymachine.drivers.amazonec2:AmazonEC2Driver",
    "generic": "pymachine.drivers.generic:GenericDriver",
    "libvirt": "pymachine.drivers.libvirt:LibvirtDriver",
    "local": "pymachine.drivers.local:LocalDriver",
    "none": "pymachine.drivers.none:NoneDriver",
}
"""The same as in pyproject.toml; nobody else's driver can have such a name."""


def names() -> list[str]:
    """Names of all installed drivers, in order; none is imported."""
    return sorted({*OURS, *(entry.name for entry in entry_points(group=GROUP))})


def entry_points(*, group: str, **wanted: Any) -> Iterable[EntryPoint]:
    """Those of all installed packages; importing the library for it takes 20 ms."""
    from importlib import metadata

    found: Iterable[EntryPoint] = metadata.entry_points(group=group, **wanted)
    return found


def load(name: str) -> type[Driver]:
    """The driver's class. Raises `InvalidOption` when it is not installed, `DriverError` when it cannot be used."""
    name = ALIASES.get(name, name)
    if name in OURS:
        return _import(name, OURS[name])
    found = {(entry.value, entry.name): entry for entry in entry_points(group=GROUP, name=name)}
    if not found:
        raise InvalidOption(
            f'Driver "{name}" not found. Do you have the package that provides it installed?',
            hint=f"known drivers: {', '.join(names()) or 'none at all; is pymachine installed?'}",
        )
    if len(found) > 1:
        raise DriverError(f'Driver "{name}" is provided more than once: {", ".join(sorted(v for v, _ in found))}')
    return _import(name, next(iter(found))[0])


def _import(name: str, value: str) -> type[Driver]:
    """The class that *value* (``module:Class``) names, if it is a driver called *name*."""
    where = f'Driver "{name}" ({value})'
    module, _, attribute = value.partition("[")[0].strip().partition(":")
    try:
        driver = operator.attrgetter(attribute)(importlib.import_module(module))
    except (ImportError, AttributeError, ValueError) as error:
        raise DriverError(f"{where} cannot be loaded: {error}") from error
    if not (isinstance(driver, type) and issubclass(driver, Driver)):
        raise DriverError(f"{where} is not a subclass of pymachine.drivers.base.Driver")
    if getattr(driver, "name", None) != name:
        raise DriverError(f'{where} calls itself "{getattr(driver, "name", "")}"')
    return driver
