"""The completion scripts, rendered from templates. Texts are quoted by each shell's own rules."""

from __future__ import annotations

import re
import shlex
from typing import Any

import click

from pymachine.machine.completion.tree import global_flags, nodes


def script(shell: str, application: click.Command) -> str:
    """The script for *shell*, which must be one of `pymachine.machine.completion.shells.SHELLS`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    env = Environment(
        loader=PackageLoader("pymachine", "templates/completion"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        comment_start_string="<%#",  # shells write ${#name}
        comment_end_string="%>",
        autoescape=False,  # shell scripts; each value has its filter
    )
    env.filters["shell"] = shlex.quote
    env.filters["zip"] = zip
    env.filters["described"] = _described
    env.filters["fish"] = _fish
    values: dict[str, Any] = {"nodes": nodes(), "globals": global_flags(application)}
    return env.get_template(f"{shell}.j2").render(values)


def _described(text: str, description: str) -> str:
    """``word:description`` as zsh's ``_describe`` takes it, quoted."""
    plain = re.sub(r"([:\\])", r"\\\1", text)
    return shlex.quote(f"{plain}:{description}")


def _fish(text: str) -> str:
    """*text* as one word of fish: in single quotes, where a backslash hides a quote and itself."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
