"""Parse a template once, render it with data as often as wanted."""

from __future__ import annotations

from typing import Any

from pymachine.machine.gotemplate.errors import TemplateError, Wrong, place
from pymachine.machine.gotemplate.evaluator import evaluate
from pymachine.machine.gotemplate.functions import NAMES
from pymachine.machine.gotemplate.parser import parse


class Template:
    """A template that has been found to be well-formed."""

    def __init__(self, source: str) -> None:
        """Raises `TemplateError` with the place of the first mistake."""
        self._source = source
        try:
            self._nodes = parse(source, NAMES)
        except Wrong as error:
            raise self._error("template parsing error", error) from None
        except RecursionError:
            raise TemplateError("template parsing error: it is nested too deep") from None

    def render(self, data: Any) -> str:
        """What the template prints of *data*, JSON data; raises `TemplateError`."""
        try:
            return evaluate(self._nodes, data)
        except Wrong as error:
            raise self._error("template error", error) from None
        except RecursionError:
            raise TemplateError("template error: the data is nested too deep") from None

    def _error(self, what: str, error: Wrong) -> TemplateError:
        return TemplateError(
            f"{what}: {place(self._source, error.offset)}: {error}",
            hint="docs/templates.md describes what templates can do.",
        )
