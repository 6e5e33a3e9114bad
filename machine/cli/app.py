"""The program: global flags, finding the command, and the one place where errors become exit codes."""

from __future__ import annotations

import io
import os
import sys

import click

from pymachine.machine.cli.command import SETTINGS, command_at, parse_spelled, truth
from pymachine.machine.cli.commands import ALIASES, COMMANDS
from pymachine.machine.cli.errors import INTERRUPTED, show_defect, show_error, show_usage_error
from pymachine.machine.cli.invocation import Invocation
from pymachine.machine.errors import MachineError

PROGRAM = "pymachine"


class Commands(click.Group):
    """The commands of `COMMANDS`, each imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        entry = COMMANDS.get(ALIASES.get(cmd_name, cmd_name))
        return entry.load() if entry else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's, with docker-machine's words for an unknown command."""
        command = self.get_command(ctx, args[0])
        if command is None:
            raise unknown_command(args[0])
        return args[0], command, args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview, from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Options up to the command's name may be spelled as Go programs allow."""
        params = self.get_params(ctx)
        end = command_at(args, params)
        return parse_spelled(ctx, args[:end], args[end:], params, super().parse_args)


def unknown_command(name: str) -> MachineError:
    """docker-machine's words."""
    return MachineError(f"{PROGRAM}: '{name}' is not a {PROGRAM} command. See '{PROGRAM} --help'.")


def _version(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from pymachine import __version__

        click.echo(f"{PROGRAM} version {__version__}")
        ctx.exit()


@click.group(cls=Commands, invoke_without_command=True, context_settings=SETTINGS)
@click.option("-D", "--debug", is_flag=True, help="Show what happens, and where errors arise. [$MACHINE_DEBUG]")
@click.option(
    "-s",
    "--storage-path",
    metavar="PATH",
    help="Where machines are stored. [default: ~/.pymachine] [$MACHINE_STORAGE_PATH]",
)
@click.option("--tls-ca-cert", metavar="FILE", help="For create: the CA to use. [$MACHINE_TLS_CA_CERT]")
@click.option("--tls-ca-key", metavar="FILE", help="Its private key. [$MACHINE_TLS_CA_KEY]")
@click.option(
    "--tls-client-cert", metavar="FILE", help="For create: the client certificate. [$MACHINE_TLS_CLIENT_CERT]"
)
@click.option("--tls-client-key", metavar="FILE", help="Its private key. [$MACHINE_TLS_CLIENT_KEY]")
@click.option("--native-ssh", is_flag=True, hidden=True, help="Accepted for docker-machine's scripts; no effect.")
@click.option("--github-api-token", hidden=True, help="Accepted for docker-machine's scripts; no effect.")
@click.option("--bugsnag-api-token", hidden=True, help="Accepted for docker-machine's scripts; no effect.")
@click.option(
    "-v", "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version."
)
@click.pass_context
def application(
    ctx: click.Context,
    /,
    *,
    debug: bool,
    storage_path: str | None,
    **others: str | bool | None,
) -> None:
    """Create and manage machines that run containers."""
    ctx.obj.storage_path = storage_path
    ctx.obj.tls_flags = {f"--{name.replace('_', '-')}": value for name, value in others.items() if "tls_" in name}
    ctx.obj.debug = debug or ctx.obj.debug
    if ctx.obj.debug:
        _log()
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(argv: list[str]) -> int:
    """Run the program; returns its exit code."""
    invocation = Invocation(storage_path=None, debug=False)
    _write_plain_lines()
    try:
        invocation.debug = _debug_wanted(os.environ.get("MACHINE_DEBUG", ""))
        code = application.main(argv, prog_name=PROGRAM, standalone_mode=False, obj=invocation)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except MachineError as error:
        return show_error(error, debug=invocation.debug)
    except click.Abort:
        return _interrupted()
    except KeyboardInterrupt:
        return _interrupted()
    except click.ClickException as error:
        return show_usage_error(error)
    except BrokenPipeError:
        # The reader went away (`| head`); nothing more can be said, so the flush at exit must not try.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        return show_defect(error, debug=invocation.debug)


def _write_plain_lines() -> None:
    """Lines end with a newline alone on Windows too: what `env` prints is for shells, some of which take the carriage
    return for a part of the value."""
    if os.name == "nt":
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(newline="\n")


def _interrupted() -> int:
    print("Interrupted", file=sys.stderr)
    return INTERRUPTED


def _debug_wanted(value: str) -> bool:
    try:
        return truth(value or "false")
    except ValueError as error:
        raise MachineError(f"Error parsing boolean value from MACHINE_DEBUG: {error}") from None


def _log() -> None:
    import logging

    logging.basicConfig(level=logging.DEBUG, format="%(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("paramiko").setLevel(logging.INFO)
