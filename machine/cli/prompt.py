"""Questions to the user."""

from __future__ import annotations

import click


def confirmed(question: str) -> bool | None:
    """Whether the answer begins with y; ``None`` when there is nobody to answer."""
    click.echo(question, nl=False)
    try:
        answer = input()
    except EOFError:
        click.echo()
        return None
    return answer.strip().lower().startswith("y")
