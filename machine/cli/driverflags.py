"""The chosen driver's flags, made from its options dataclass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click
from click.core import ParameterSource

from pymachine.drivers.options import OptionSpec, describe

DEFAULT_DRIVER = "local"
_PREFIX = "driver_option_"
_SHAPES: Mapping[str, dict[str, Any]] = {
    "str": {"type": str},
    "int": {"type": int},
    "bool": {"is_flag": True},
    "list": {"type": str, "multiple": True},
}
"""click's words for the types of `OptionSpec`."""
_ALIASES: Mapping[str, tuple[str, ...]] = {"--none-url": ("--url",)}
"""docker-machine's names, where they do not begin with the driver's."""


def chosen_driver(args: Sequence[str], environ: Mapping[str, str]) -> str:
    """The driver that *args* will name: the rest of the line cannot be read before it is known."""
    chosen = environ.get("MACHINE_DRIVER") or DEFAULT_DRIVER
    end = args.index("--") if "--" in args else len(args)
    for index, arg in enumerate(args[:end]):
        flag, separator, value = arg.partition("=")
        if flag in ("-d", "-driver", "--driver"):
            chosen = value if separator else (args[index + 1] if index + 1 < end else chosen)
    return chosen


def flags(driver_name: str) -> list[click.Parameter]:
    """One click option for each of the driver's options; raises `MachineError` for an unknown driver."""
    from pymachine.drivers.registry import load

    kind = load(driver_name)
    return [_flag(spec) for spec in describe(kind.name, kind.Options)]


def given(ctx: click.Context) -> dict[str, Any]:
    """The driver's options that were given by flag, by field name; all others are the driver's to find."""
    return {
        name.removeprefix(_PREFIX): value
        for name, value in ctx.params.items()
        if name.startswith(_PREFIX) and ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }


def _flag(spec: OptionSpec) -> click.Option:
    shape = dict(_SHAPES[spec.type])
    if spec.metavar and spec.type != "bool":
        shape["metavar"] = spec.metavar
    names = [spec.flag, *_ALIASES.get(spec.flag, ())]
    return click.Option([*names, _PREFIX + spec.field], help=_help(spec), **shape)


def _help(spec: OptionSpec) -> str:
    text = spec.help[:1].upper() + spec.help[1:]
    default = f" [default: {spec.default}]" if spec.default not in ("", (), False, None) else ""
    return f"{text}.{default}{f' [${spec.env}]' if spec.env else ''}"
