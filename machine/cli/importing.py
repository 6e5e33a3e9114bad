"""``import-docker-machine``."""

from __future__ import annotations

from pathlib import Path

import click

from pymachine.machine.cli.command import SETTINGS, Command
from pymachine.machine.cli.invocation import current
from pymachine.machine.errors import MachineError
from pymachine.machine.events import relay


@click.command("import-docker-machine", cls=Command, context_settings=SETTINGS)
@click.option("-m", "--machine", "names", multiple=True, metavar="NAME", help="Only this machine; may be repeated.")
@click.option(
    "--as-generic",
    is_flag=True,
    help="Machines of drivers that are not known here: use their hosts by SSH, as generic.",
)
@click.argument("path", required=False, metavar="[PATH]", type=click.Path(path_type=Path))
def import_docker_machine(path: Path | None, names: tuple[str, ...], as_generic: bool) -> None:
    """Import the machines of docker-machine; its store and the hosts stay as they are.

    PATH is its store [default: ~/.docker/machine].
    """
    invocation = current()
    with invocation.progress(live=False) as report:
        results = invocation.client.import_docker_machine(
            path, names=names, as_generic=as_generic, on_event=relay(report)
        )
    if not results:
        click.echo("There is no machine to import.")
    failed = [result.name for result in results if result.problem]
    if failed:
        raise MachineError(f"{len(failed)} of {len(results)} machines were not imported: {', '.join(failed)}")
