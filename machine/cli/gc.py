"""``gc``."""

from __future__ import annotations

import sys
from typing import Any

import click

from pymachine.machine.cli.command import SETTINGS
from pymachine.machine.cli.create import CreateCommand
from pymachine.machine.cli.driverflags import chosen_driver, given
from pymachine.machine.cli.invocation import current
from pymachine.machine.cli.prompt import confirmed


@click.command(cls=CreateCommand, context_settings=SETTINGS)
@click.option("-d", "--driver", metavar="DRIVER", help="Whose machines. [$MACHINE_DRIVER]")
@click.option("-y", "yes", is_flag=True, help="Do not ask.")
@click.option("-n", "--dry-run", is_flag=True, help="Only list.")
@click.option("--all-stores", is_flag=True, help="Also what other stores made; they may still own it.")
@click.pass_context
def gc(ctx: click.Context, /, driver: str | None, yes: bool, dry_run: bool, all_stores: bool, **_: Any) -> None:
    """List what is left outside of machines that no record knows, and remove it.

    Of amazonec2: what carries pymachine's tags in one region. What other stores made is left alone.
    """
    from pymachine.machine.operations.gc import collect
    from pymachine.machine.output.table import table

    invocation = current()
    name = driver or chosen_driver((), invocation.environ)
    with invocation.progress(live=False) as report:
        found = collect(invocation.store, name, given(ctx), invocation.environ, report, all_stores=all_stores)
    if not found.orphans:
        click.echo("Nothing is left.")
        return
    rows = [(item.kind, item.id, item.machine_name or "-", item.store_id or "-") for item in found.orphans]
    sys.stdout.write(table(("KIND", "ID", "MACHINE", "STORE"), rows))
    if dry_run or not (yes or confirmed("Remove all of these? (y/n): ")):
        return
    found.remove()
    click.echo(f"Removed {len(found.orphans)}.")
