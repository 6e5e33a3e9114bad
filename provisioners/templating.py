"""Templates for what lands on a host. Values are quoted by filters; nothing is pasted."""

from __future__ import annotations

import functools
import json
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def systemd_quote(value: str) -> str:
    """*value* as one quoted word of a unit file (systemd.syntax(7), "Quoting"; ``%`` is a specifier).

    Raises `ValueError` for control characters, which no environment assignment can carry.
    """
    if any(ord(char) < 32 or ord(char) == 127 for char in value):
        raise ValueError(f"{value!r} holds a control character")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


@functools.cache
def environment() -> Environment:
    """The template environment: undefined names are errors."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    env = Environment(
        loader=PackageLoader("pymachine", "templates"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # unit files and scripts, no HTML; each value has its filter
    )
    env.filters["systemd"] = systemd_quote
    env.filters["shell"] = shlex.quote
    env.filters["json"] = lambda value: json.dumps(value, indent=2, sort_keys=True)
    return env


def render(template: str, **values: Any) -> str:
    """The template at *template*, below ``templates/``."""
    return environment().get_template(template).render(values)
