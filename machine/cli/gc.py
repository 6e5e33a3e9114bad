"""``gc``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from pymachine.machine.cli.command import SETTINGS
from pymachine.machine.cli.create import CreateCommand
from pymachine.machine.cli.driverflags import chosen_driver, given
from pymachine.machine.cli.formats import format_option, only_with, write_json
from pymachine.machine.cli.invocation import current
from pymachine.machine.cli.prompt import confirmed
from pymachine.machine.errors import InvalidOption, MachineError

if TYPE_CHECKING:
    from pymachine.machine.operations.gc import Collection, Orphan


@click.command(cls=CreateCommand, context_settings=SETTINGS)
@click.option("-d", "--driver", metavar="DRIVER", help="Whose machines. [$MACHINE_DRIVER]")
@click.option("-y", "yes", is_flag=True, help="Do not ask.")
@click.option("-n", "--dry-run", is_flag=True, help="Only list.")
@click.option("--all-stores", is_flag=True, help="Also what other stores made; they may still own it.")
@click.option("--region", "regions", metavar="REGION", multiple=True, help="Look into this region; can be repeated.")
@click.option("--all-regions", is_flag=True, help="Look into all regions that the account may use.")
@format_option
@click.pass_context
def gc(
    ctx: click.Context,
    /,
    driver: str | None,
    yes: bool,
    dry_run: bool,
    all_stores: bool,
    regions: tuple[str, ...],
    all_regions: bool,
    format_: str,
    **_: Any,
) -> None:
    """List what is left outside of machines that no record knows, and remove it.

    Of amazonec2: what carries pymachine's tags in one region, or in several. What other stores made is left alone.
    """
    from pymachine.machine.operations.gc import collect

    invocation = current()
    name = driver or chosen_driver((), invocation.environ)
    if regions and all_regions:
        raise InvalidOption("--region and --all-regions exclude each other")
    only_with("--dry-run", format_, given=dry_run)
    with invocation.progress(live=False) as report:
        found = collect(
            invocation.store,
            name,
            given(ctx),
            invocation.environ,
            report,
            all_stores=all_stores,
            regions=regions,
            all_regions=all_regions,
        )
    if format_ == "json":
        write_json([_fields(orphan) for orphan in found.orphans])
    else:
        _settle(found, yes=yes, dry_run=dry_run)
    if found.unseen:
        raise MachineError(f"Could not look into {len(found.unseen)} of the regions: {'; '.join(found.unseen)}")


def _fields(orphan: Orphan) -> dict[str, str]:
    thing = orphan.thing
    return {
        "Kind": thing.kind,
        "Id": thing.id,
        "Machine": thing.machine_name,
        "Store": thing.store_id,
        "Region": orphan.region,
    }


def _settle(found: Collection, *, yes: bool, dry_run: bool) -> None:
    """Show what is left, and remove it when that is wanted."""
    from pymachine.machine.output.table import table

    if not found.orphans:
        if not found.unseen:
            click.echo("Nothing is left.")
        return
    several = len(found.drivers) > 1
    rows = [
        (*((orphan.region,) if several else ()), thing.kind, thing.id, thing.machine_name or "-", thing.store_id or "-")
        for orphan in found.orphans
        for thing in [orphan.thing]
    ]
    header = ("KIND", "ID", "MACHINE", "STORE")
    sys.stdout.write(table(("REGION", *header) if several else header, rows))
    if dry_run or not (yes or confirmed("Remove all of these? (y/n): ")):
        return
    found.remove()
    click.echo(f"Removed {len(found.orphans)}.")
