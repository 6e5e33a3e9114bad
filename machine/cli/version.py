"""``version`` and ``help``."""

from __future__ import annotations

import click

from pymachine.machine.cli.command import SETTINGS, Command
from pymachine.machine.cli.formats import format_option, write_json
from pymachine.machine.cli.invocation import current
from pymachine.machine.errors import MachineError

TIMEOUT = 20.0


@click.command(cls=Command, context_settings=SETTINGS)
@format_option
@click.argument("names", nargs=-1, metavar="[NAME]")
def version(format_: str, names: tuple[str, ...]) -> None:
    """Print the version of this program, or of the engine of machine NAME."""
    if len(names) > 1:
        raise MachineError("Error: Expected one machine name as an argument")
    from pymachine import __version__

    found = current().client.get(names[0]).engine_version(timeout=TIMEOUT) if names else __version__
    if format_ == "json":
        return write_json({"Name": names[0] if names else None, "Version": found})
    click.echo(found if names else f"pymachine version {found}")


@click.command(cls=Command, context_settings=SETTINGS)
@click.argument("command", nargs=-1, metavar="[COMMAND]")
def help_command(command: tuple[str, ...]) -> None:
    """Show help for COMMAND, or for the program."""
    application = click.get_current_context().find_root()
    if not command:
        click.echo(application.get_help())
        return
    from pymachine.machine.cli.app import PROGRAM, run

    raise SystemExit(run([*_flags(PROGRAM, application), *command, "--help"]))


def _flags(program: str, application: click.Context) -> list[str]:
    """The global flags given, for the second run."""
    path = application.obj.storage_path
    return ["-s", path] if path else []
