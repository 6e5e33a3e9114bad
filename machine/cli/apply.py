"""``apply``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pymachine.machine.cli.command import SETTINGS, Command, timeout_option
from pymachine.machine.cli.errors import Interrupted
from pymachine.machine.cli.formats import format_option, only_with, write_json
from pymachine.machine.cli.invocation import current
from pymachine.machine.cli.prompt import confirmed
from pymachine.machine.config import SWARM_NOTICE
from pymachine.machine.errors import MachineError
from pymachine.machine.fleetclient import MAX_PARALLEL, TIMEOUT

if TYPE_CHECKING:
    from pymachine.machine.fleet.plan import Plan


@click.command(cls=Command, context_settings=SETTINGS)
@click.option(
    "-f",
    "--file",
    "file",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The fleet file (YAML).",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--prune", is_flag=True, help="Remove machines that the fleet has made and names no longer.")
@click.option("--replace", is_flag=True, help="Remove and make anew what cannot be changed otherwise.")
@click.option(
    "--max-parallel",
    type=click.IntRange(1, 100),
    default=MAX_PARALLEL,
    metavar="K",
    help=f"At most K machines at a time. [default: {MAX_PARALLEL}]",
)
@timeout_option("--timeout", default=TIMEOUT, text="The most that one machine may take.")
@format_option
def apply(
    file: Path,
    yes: bool,
    dry_run: bool,
    prune: bool,
    replace: bool,
    max_parallel: int,
    timeout: float,
    format_: str,
) -> None:
    """Make, change and remove machines until they are as a fleet file says; what is as wanted is left alone."""
    from pymachine.machine.operations.apply import check
    from pymachine.machine.operations.prefixed import prefixing

    only_with("--dry-run", format_, given=dry_run)
    invocation = current()
    plan = invocation.client.plan(file, prune=prune)
    if format_ == "json":
        return write_json(plan.as_json())
    _show(plan)
    if dry_run or plan.idle:
        return
    check(plan, replace=replace)
    if not yes and not _agreed():
        return
    try:
        with invocation.progress(live=False) as report:
            if any(step.request and step.request.swarm.wanted for step in plan.having("create", "change", "replace")):
                report.warn(SWARM_NOTICE)
            invocation.client.apply(
                plan, replace=replace, most=max_parallel, timeout=timeout, on_event=prefixing(report)
            )
    except KeyboardInterrupt:
        raise Interrupted("Interrupted: run the same apply again to go on") from None


def _show(plan: Plan) -> None:
    click.echo(f"Fleet {plan.fleet.name} ({plan.fleet.path}):")
    for step in plan.steps:
        click.echo(step.line)
    click.echo(plan.summary)


def _agreed() -> bool:
    answer = confirmed("Do this? (y/n): ")
    if answer is None:
        raise MachineError("nothing was done: there is nobody to ask", hint="Run it with -y.")
    if not answer:
        click.echo("Nothing was done.")
    return answer
