"""Find what was made outside for machines that no record knows, and remove it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymachine.drivers import registry
from pymachine.drivers.base import Belonging, Collects, Context
from pymachine.drivers.checkup import NoJournal
from pymachine.drivers.options import build
from pymachine.machine.errors import DriverError, MachineError
from pymachine.machine.operations.report import Report
from pymachine.store.base import Damaged, Store

TIMEOUT = 600.0


@dataclass(frozen=True, slots=True)
class Collection:
    """What has no owner, and how it is removed."""

    orphans: Sequence[Belonging]
    driver: Collects

    def remove(self) -> None:
        """Remove it all. Raises `DriverError`; what is left is found again the next time."""
        self.driver.discard(self.orphans)


def collect(
    store: Store,
    driver: str,
    given: Mapping[str, Any],
    environ: Mapping[str, str],
    report: Report,
    *,
    all_stores: bool = False,
) -> Collection:
    """What *driver* finds outside of this store's machines, or with *all_stores* of any, that no record here owns.

    Raises `DriverError` when the driver cannot tell.
    """
    kind = registry.load(driver)
    options = build(kind.name, kind.Options, given, environ)
    context = Context(
        machine_id=str(uuid.uuid4()),
        name="gc",
        store_id=store.id,
        directory=Path(),
        resources={},
        save=lambda: None,
        journal=NoJournal(),
        report=report.note,
        timeout=TIMEOUT,
    )
    made = kind(options, context)
    if not isinstance(made, Collects):
        raise DriverError(f'Driver "{kind.name}" keeps nothing outside that could be collected')
    # In this order: a record is there before anything is made for it, so what has none by now is nobody's.
    found = made.belongings("" if all_stores else store.id)
    owned = _owned(store)
    return Collection([item for item in found if item.machine_id not in owned], made)


def _owned(store: Store) -> set[str]:
    """Ids of all machines on record; of damaged records too, and if one cannot be known nothing is an orphan."""
    ids: set[str] = set()
    for item in store.load_all():
        record = store.salvage(item.name) if isinstance(item, Damaged) else item
        if record is None:
            raise MachineError(
                f'The record of "{item.name}" is damaged, so what is its own cannot be told',
                hint=f"pymachine rm -f {item.name}",
            )
        ids.add(record.id)
    return ids
