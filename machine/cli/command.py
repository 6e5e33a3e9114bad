"""Commands as docker-machine's users type them: ``-driver x`` for ``--driver x``, ``--swarm=true`` for ``--swarm``, and
arguments left alone (the rules of Go's package flag)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, TypeVar

import click
from click.core import ParameterSource, augment_usage_errors

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

SETTINGS = {"help_option_names": ["-h", "--help"]}


class Command(click.Command):
    """A command whose options may be spelled as Go programs allow."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, after spelling options as click has them."""
        return parse_spelled(ctx, args, [], self.get_params(ctx), super().parse_args)


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

    name = "number of seconds"

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


def parse_spelled(
    ctx: click.Context,
    args: list[str],
    untouched: list[str],
    params: list[click.Parameter],
    parse: Callable[[click.Context, list[str]], list[str]],
) -> list[str]:
    """Let *parse* (click's) have *args* in its spelling, then what is *untouched*.

    A ``--flag=false``, which it does not know, is set as if it had read that.
    """
    with augment_usage_errors(ctx):
        words, off = spelled(args, params)
    rest = parse(ctx, words + untouched)
    for name in off & ctx.params.keys():
        ctx.params[name] = False
        ctx.set_parameter_source(name, ParameterSource.COMMANDLINE)
    return rest


def spelled(args: list[str], params: list[click.Parameter]) -> tuple[list[str], set[str]]:
    """*args* in click's spelling, and the names of flags that are switched off.

    ``-driver=x`` and ``-d=x`` become ``--driver x``, ``--swarm=true`` becomes ``--swarm``; nothing after ``--`` is
    touched, and no value of an option. Letters become words, since click looks for words first, and imports what
    guesses at similar ones. Raises `click.BadOptionUsage` for a flag's value that is none.
    """
    options = {name: param for param in params if isinstance(param, click.Option) for name in param.opts}
    end = args.index("--") if "--" in args else len(args)
    words: list[str] = []
    off: set[str] = set()
    rest = iter(args[:end])
    for arg in rest:
        name, separator, value = _split(arg, options)
        option = options.get(name)
        if option is None:
            words.append(arg)
        elif not option.is_flag:
            words += [name, *([value] if separator else islice(rest, 1))]
        elif not separator or _switched_on(name, value):
            off.discard(option.name or "")
            words.append(name)
        else:
            off.add(option.name or "")
    return words + args[end:], off


def command_at(args: list[str], params: list[click.Parameter]) -> int:
    """Where the command's name is: the first word that is neither an option nor the value of one."""
    valued = {name for param in params if isinstance(param, click.Option) and not param.is_flag for name in param.opts}
    index = 0
    while index < len(args) and args[index].startswith("-"):
        index += 2 if args[index] in valued or f"-{args[index]}" in valued else 1
    return min(index, len(args))


def truth(text: str) -> bool:
    """A truth value in the words that Go takes (strconv.ParseBool); raises `ValueError`."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def _split(arg: str, options: Mapping[str, click.Option]) -> tuple[str, str, str]:
    """An option's name as click has it, the equal sign if there is one, the value after it."""
    name, separator, value = arg.partition("=")
    if len(name) == 2 and name in options:
        name = next((word for word in options[name].opts if word.startswith("--")), name)
    elif name[:1] == "-" and name not in options and f"-{name}" in options:
        name = f"-{name}"
    return name, separator, value


def _switched_on(name: str, value: str) -> bool:
    try:
        return truth(value)
    except ValueError as error:
        raise click.BadOptionUsage(name, f"Option '{name}': {error}.") from None
