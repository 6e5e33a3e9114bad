"""``export`` and ``import``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from pymachine.machine.cli.command import SETTINGS, Command
from pymachine.machine.cli.invocation import current
from pymachine.machine.errors import MachineError, UsageError
from pymachine.machine.events import relay
from pymachine.machine.terminal import has_terminal

VARIABLE = "MACHINE_PASSPHRASE"
_PASSPHRASE_FILE = click.option(
    "--passphrase-file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"Where the passphrase is: the file's first line. [${VARIABLE} for the passphrase itself]",
)


@click.command(cls=Command, context_settings=SETTINGS)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The archive to write; replaced when it exists.",
)
@click.option("-e", "--encrypt", is_flag=True, help="Under a passphrase, which is asked for unless it is given.")
@_PASSPHRASE_FILE
@click.argument("names", nargs=-1, metavar="[NAME...]")
def export(names: tuple[str, ...], output: Path | None, encrypt: bool, passphrase_file: Path | None) -> None:
    """Write machines to an archive, with all that is needed to use them: records, keys, certificates.

    Whoever has the archive can do with the machines whatever you can. Their hosts are not touched, and the machines
    stay in this store as well.
    """
    if output is None:
        raise UsageError("Error: -o FILE says where the archive is to be written")
    machines = current().several(names)
    given = _given(passphrase_file, current().environ)
    passphrase = given or (_ask(twice=True) if encrypt else "")
    current().client.export(machines, output, passphrase=passphrase)
    sealed = "" if passphrase else ", readable by whoever gets it: keep it as you keep private keys"
    click.echo(f"Wrote {output}: {', '.join(machine.name for machine in machines)}{sealed}")


@click.command("import", cls=Command, context_settings=SETTINGS)
@_PASSPHRASE_FILE
@click.option(
    "--rename",
    "renames",
    multiple=True,
    metavar="NAME=NEW",
    help="Import a machine under another name; may be repeated.",
)
@click.option(
    "--allow-commands", is_flag=True, help="Accept machines that are reached through a command (ProxyCommand)."
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
def import_(file: Path, passphrase_file: Path | None, renames: tuple[str, ...], allow_commands: bool) -> None:
    """Add the machines of an archive to this store; no key is changed, so others' access stays."""
    from pymachine.machine.operations.archive import needs_passphrase

    passphrase = ""
    if needs_passphrase(file):
        passphrase = _given(passphrase_file, current().environ) or _ask(twice=False)
    with current().progress() as report:
        current().client.import_archive(
            file,
            passphrase=passphrase,
            renamed=dict(_pair(text) for text in renames),
            allow_commands=allow_commands,
            on_event=relay(report),
        )


def _pair(text: str) -> tuple[str, str]:
    name, separator, new = text.partition("=")
    if not (name and separator and new):
        raise UsageError(f"--rename: {text!r} is not NAME=NEW")
    return name, new


def _given(file: Path | None, environ: Mapping[str, str]) -> str:
    """The passphrase by file or variable; empty when neither is given."""
    if file is None:
        return environ.get(VARIABLE, "")
    try:
        with file.open(encoding="utf-8") as opened:
            passphrase = opened.readline(4096).rstrip("\r\n")
    except (OSError, UnicodeError) as error:
        raise MachineError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from error
    if not passphrase:
        raise MachineError(f"there is no passphrase in {file}")
    return passphrase


def _ask(*, twice: bool) -> str:
    """From the terminal, unseen."""
    from getpass import getpass

    if not (sys.stdin.isatty() or has_terminal()):
        raise MachineError(
            "the archive needs a passphrase, and there is no terminal to ask for it",
            hint=f"Give it by --passphrase-file FILE or {VARIABLE}.",
        )
    passphrase = getpass("Passphrase: ")
    if not passphrase:
        raise MachineError("the passphrase is empty")
    if twice and getpass("The same again: ") != passphrase:
        raise MachineError("these were two different passphrases")
    return passphrase
