"""``doctor``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from pymachine.machine.cli.command import SETTINGS, Command
from pymachine.machine.cli.formats import format_option, write_json
from pymachine.machine.cli.invocation import current

if TYPE_CHECKING:
    from pymachine.machine.operations.doctor import Area


@click.command(cls=Command, context_settings=SETTINGS)
@format_option
@click.argument("drivers", nargs=-1, metavar="[DRIVER...]")
def doctor(drivers: tuple[str, ...], format_: str) -> int:
    """Look for what is missing or amiss: in the store, on this computer, for each driver; with the remedies.

    The exit code is 1 when there is a problem. Drivers that no machine has are looked at as well, but only count when
    they are named.
    """
    areas = current().client.doctor(*drivers)
    if format_ == "json":
        write_json([_fields(area) for area in areas])
    else:
        _show(areas)
    return 1 if any(area.failed for area in areas) else 0


def _show(areas: Sequence[Area]) -> None:
    for area in areas:
        click.echo(area.title)
        for finding in area.findings:
            click.echo(f"  {finding.level:<8} {finding.text}")
            if finding.remedy:
                click.echo(f"           → {finding.remedy}")


def _fields(area: Area) -> dict[str, object]:
    return {
        "Area": area.title,
        "Counts": area.counts,
        "Findings": [
            {"Level": finding.level, "Text": finding.text, "Remedy": finding.remedy} for finding in area.findings
        ],
    }
