"""Driver options: one frozen dataclass a driver, from which flags, environment variables, JSON and docs come.

    @dataclass(frozen=True)
    class Options:
        cpus: int = option(2, "number of CPUs", env="LOCAL_CPUS")

The flag is ``--<driver>-<field>`` with dashes. Types: ``str``, ``int``, ``bool``, ``tuple[str, ...]`` (a flag
that may be repeated; its environment variable splits at commas). ``bool`` flags take no value.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from pymachine.machine.errors import InvalidOption


def option(default: Any, help: str, *, env: str = "", metavar: str = "") -> Any:
    """A field of an options dataclass: its default, one line of help, its environment variable."""
    metadata = {"help": help, "env": env, "metavar": metavar}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class OptionSpec:
    """One option, described."""

    field: str
    flag: str
    """``--local-cpus``."""
    type: str
    """``str``, ``int``, ``bool``, ``list``."""
    default: Any
    help: str
    env: str
    metavar: str


def describe(driver_name: str, options: type) -> Sequence[OptionSpec]:
    """The options of a driver's dataclass, in order."""
    return _describe(driver_name, options)


@functools.cache
def _describe(driver_name: str, options: type) -> tuple[OptionSpec, ...]:
    """Kept: `ls` builds the options of every machine."""
    return tuple(_specs(driver_name, options))


def _specs(driver_name: str, options: type) -> Iterator[OptionSpec]:
    hints = get_type_hints(options)
    names = {str: "str", int: "int", bool: "bool", tuple[str, ...]: "list"}
    for field in dataclasses.fields(options):
        yield OptionSpec(
            field.name,
            f"--{driver_name}-{field.name.replace('_', '-')}",
            names[hints[field.name]],
            field.default,
            field.metadata["help"],
            field.metadata["env"],
            field.metadata["metavar"],
        )


def build(driver_name: str, options: type, given: Mapping[str, Any], env: Mapping[str, str] = os.environ) -> Any:
    """*options* from what was given by flag (by field name), else by environment variable, else the default.

    Raises `InvalidOption` naming every option whose value is not of its type.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for spec in describe(driver_name, options):
        if spec.field in given:
            raw, where = given[spec.field], spec.flag
        elif spec.env and env.get(spec.env):
            raw, where = env[spec.env], f"${spec.env}"
        else:
            continue
        try:
            values[spec.field] = _convert(spec, raw)
        except ValueError as error:
            problems.append(f"{where}: {error}")
    unknown = given.keys() - {field.name for field in dataclasses.fields(options)}
    problems += [f"{driver_name} driver has no option {name}" for name in sorted(unknown)]
    if problems:
        raise InvalidOption("; ".join(problems))
    return options(**values)


def _convert(spec: OptionSpec, raw: Any) -> Any:
    if spec.type == "int":
        try:
            return int(raw)
        except (TypeError, ValueError):
            raise ValueError(f"{raw!r} is not a whole number") from None
    if spec.type == "bool":
        if isinstance(raw, bool):
            return raw
        if str(raw).lower() in ("1", "t", "true", "yes", "on"):
            return True
        if str(raw).lower() in ("0", "f", "false", "no", "off", ""):
            return False
        raise ValueError(f"{raw!r} is not true or false")
    if spec.type == "list":
        return tuple(raw.split(",")) if isinstance(raw, str) else tuple(raw)
    return str(raw)


def to_json(options: Any) -> dict[str, Any]:
    """An options object as JSON for the record: every field, so that a later version's other defaults do
    not change a machine that exists."""
    return {
        field.name: list(value) if isinstance(value := getattr(options, field.name), tuple) else value
        for field in dataclasses.fields(options)
    }
