"""Commands as docker-machine's users type them: ``-driver x`` for ``--driver x``, and arguments left alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

SETTINGS = {"help_option_names": ["-h", "--help"]}


class Command(click.Command):
    """A command whose long options may have one dash, as Go programs allow."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, after giving long options their second dash."""
        return super().parse_args(ctx, two_dashes(args, self.get_params(ctx)))


class RawCommand(click.Command):
    """A command that gets its arguments as they are, in ``arguments``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse nothing, except for a plea for help in first place."""
        if args[:1] in (["-h"], ["-help"], ["--help"]):
            click.echo(ctx.get_help())
            ctx.exit()
        ctx.params["arguments"] = tuple(args)
        return []


class Seconds(click.FloatRange):
    """A number of seconds: not negative, and a real number."""

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Also refuse ``nan`` and ``inf``, which a range lets through."""
        seconds = float(super().convert(value, param, ctx))
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is no number of seconds.", param, ctx)
        return seconds


def timeout_option(*flags: str, default: float, text: str) -> Callable[[Decorated], Decorated]:
    """A flag for a number of seconds."""
    return click.option(
        *flags, type=Seconds(), default=default, metavar="SECONDS", help=f"{text} [default: {default:g}]"
    )


def two_dashes(args: list[str], params: list[click.Parameter]) -> list[str]:
    """``-driver=x`` becomes ``--driver=x``, ``-d=x`` becomes ``-d x``; nothing after ``--`` is touched."""
    names = {name for param in params for name in (*param.opts, *param.secondary_opts) if name.startswith("-")}
    end = args.index("--") if "--" in args else len(args)
    return [part for arg in args[:end] for part in _spell(arg, names)] + args[end:]


def command_at(args: list[str], params: list[click.Parameter]) -> int:
    """Where the command's name is: the first word that is neither an option nor the value of one."""
    valued = {name for param in params if isinstance(param, click.Option) and not param.is_flag for name in param.opts}
    index = 0
    while index < len(args) and args[index].startswith("-"):
        index += 2 if args[index] in valued or f"-{args[index]}" in valued else 1
    return min(index, len(args))


def _spell(arg: str, names: set[str]) -> list[str]:
    name, separator, value = arg.partition("=")
    if not name.startswith("-") or name.startswith("--"):
        return [arg]
    if len(name) > 2 and f"-{name}" in names and name not in names:
        return [f"-{arg}"]
    if len(name) == 2 and separator and name in names:
        return [name, value]
    return [arg]
