"""Find what was made outside for machines that no record knows, and remove it."""

from __future__ import annotations

import difflib
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymachine.drivers import registry
from pymachine.drivers.base import Belonging, Collects, Context, Driver, Regional
from pymachine.drivers.checkup import NoJournal
from pymachine.drivers.options import build
from pymachine.machine.errors import DriverError, InvalidOption, MachineError
from pymachine.machine.operations.many import all_or_errors
from pymachine.machine.operations.report import Report
from pymachine.machine.operations.together import together
from pymachine.store.base import Damaged, Store

TIMEOUT = 600.0
MOST_AT_ONCE = 20
"""Machines whose things are removed at a time."""
FEW_REGIONS = 5
"""So many are all told when another one was asked for."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """One thing that has no owner."""

    thing: Belonging
    region: str
    """Empty when the driver was not asked for certain regions."""


@dataclass(frozen=True, slots=True)
class Collection:
    """What has no owner, and how it is removed."""

    orphans: Sequence[Orphan]
    drivers: Mapping[str, Collects]
    """By region."""
    unseen: Sequence[str] = ()
    """Regions into which nobody could look, each with the reason."""

    def remove(self) -> None:
        """Remove it all, machine by machine, many at a time. Raises one error that names every machine of which
        something stays; that is found again the next time."""
        shares: dict[tuple[str, str], list[Belonging]] = defaultdict(list)
        for orphan in self.orphans:
            shares[orphan.region, orphan.thing.machine_id].append(orphan.thing)

        def discard(share: tuple[str, str]) -> None:
            self.drivers[share[0]].discard(shares[share])

        def name(share: tuple[str, str]) -> str:
            return shares[share][0].machine_name or share[1]

        all_or_errors(discard, list(shares), name, most=MOST_AT_ONCE)


def collect(
    store: Store,
    driver: str,
    given: Mapping[str, Any],
    environ: Mapping[str, str],
    report: Report,
    *,
    all_stores: bool = False,
    regions: Sequence[str] = (),
    all_regions: bool = False,
) -> Collection:
    """What *driver* finds outside of this store's machines, or with *all_stores* of any, that no record here owns; in
    the region of the driver's options, in each of *regions*, or with *all_regions* in all that it may use.

    Raises `DriverError` when the driver cannot tell. With *all_regions* one that cannot be looked into does not hide
    the others.
    """
    made = _driver(store, driver, given, environ, report)
    drivers: dict[str, Collects] = {}
    for region, one in _regional(made, regions, all_regions=all_regions).items():
        if not isinstance(one, Collects):
            raise DriverError(f'Driver "{made.name}" keeps nothing outside that could be collected')
        drivers[region] = one
    # In this order: a record is there before anything is made for it, so what has none by now is nobody's.
    found, unseen = _look(drivers, "" if all_stores else store.id, bear=all_regions)
    owned = _owned(store)
    return Collection([orphan for orphan in found if orphan.thing.machine_id not in owned], drivers, unseen)


def _driver(store: Store, name: str, given: Mapping[str, Any], environ: Mapping[str, str], report: Report) -> Driver:
    kind = registry.load(name)
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
    return kind(build(kind.name, kind.Options, given, environ), context)


def _regional(made: Driver, regions: Sequence[str], *, all_regions: bool) -> Mapping[str, Driver]:
    """A driver for each region; for none in particular when none was asked for."""
    if not (regions or all_regions):
        return {"": made}
    if not isinstance(made, Regional):
        raise DriverError(f'Driver "{made.name}" knows no regions')
    known = made.regions()
    if missing := [region for region in regions if region not in known]:
        raise InvalidOption(f"--region: {'; '.join(_unknown(region, known) for region in missing)}")
    return {region: made.in_region(region) for region in dict.fromkeys(known if all_regions else regions)}


def _unknown(region: str, known: Sequence[str]) -> str:
    """That there is no such region, and which there are of a name like it."""
    near = list(known) if len(known) <= FEW_REGIONS else difflib.get_close_matches(region, known)
    if not near:
        return f"there is no {region}, nor one of a name like it among the {len(known)} that may be used"
    more = f" and {len(known) - len(near)} more" if len(near) < len(known) else ""
    return f"there is no {region}; there are {', '.join(near)}{more}"


def _look(drivers: Mapping[str, Collects], store_id: str, *, bear: bool) -> tuple[list[Orphan], list[str]]:
    """Into all regions at once, each by calls of its own."""
    outcomes = together(lambda region: drivers[region].belongings(store_id), list(drivers))
    found: list[Orphan] = []
    unseen: list[str] = []
    for outcome in outcomes:
        if outcome.error is None:
            found += [Orphan(thing, outcome.item) for thing in outcome.value or ()]
        elif bear and isinstance(outcome.error, MachineError):
            unseen.append(f"{outcome.item}: {outcome.error}")
        else:
            raise outcome.error
    return found, unseen


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
