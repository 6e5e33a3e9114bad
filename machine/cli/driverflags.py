"""The chosen driver's flags, made from its options dataclass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click
from click.core import ParameterSource

from pymachine.drivers.options import OptionSpec, describe
from pymachine.machine.errors import UsageError

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
_IDLE: Mapping[str, Mapping[str, str]] = {
    "amazonec2": {
        "--amazonec2-block-duration-minutes": "int",
        "--amazonec2-insecure-transport": "bool",
        "--amazonec2-retries": "int",
    }
}
"""docker-machine's flags that its scripts may still give, by driver, with their types. They have no effect: AWS sells
no such blocks any more, the endpoint's URL says whether it is by TLS, and calls are made again until time is up."""
_REFUSED: Mapping[str, Sequence[str]] = {
    "amazonec2": ("--amazonec2-access-key", "--amazonec2-secret-key", "--amazonec2-session-token")
}
"""docker-machine's flags for secrets, which anybody may read on a command line."""


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
    idle = (_former(flag, _SHAPES[shape]) for flag, shape in _IDLE.get(kind.name, {}).items())
    refused = (_former(flag, {"type": str, "callback": _refuse}) for flag in _REFUSED.get(kind.name, ()))
    return [*(_flag(spec) for spec in describe(kind.name, kind.Options)), *idle, *refused]


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


def _former(flag: str, shape: Mapping[str, Any]) -> click.Option:
    """A flag of docker-machine's that the driver knows nothing of."""
    return click.Option([flag, _PREFIX + flag.strip("-").replace("-", "_")], hidden=True, expose_value=False, **shape)


def _refuse(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise UsageError(
            f"{param.opts[0]}: secrets are taken neither from the command line nor into the store",
            hint="Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or name a profile of the AWS "
            "command line by --amazonec2-profile.",
        )


def _help(spec: OptionSpec) -> str:
    text = spec.help[:1].upper() + spec.help[1:]
    default = f" [default: {spec.default}]" if spec.default not in ("", (), False, None) else ""
    return f"{text}.{default}{f' [${spec.env}]' if spec.env else ''}"
