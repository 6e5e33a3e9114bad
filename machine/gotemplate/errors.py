"""What can be wrong with a template."""

from __future__ import annotations

from pymachine.machine.errors import MachineError


class TemplateError(MachineError):
    """A template that cannot be parsed, or that does not fit its data; the message has the place."""


def place(source: str, offset: int) -> str:
    """``line:column`` of *offset*, both from 1."""
    line = source.count("\n", 0, offset) + 1
    return f"{line}:{offset - source.rfind(chr(10), 0, offset)}"


class Wrong(Exception):
    """Something is wrong at *offset*; `pymachine.machine.gotemplate.template` says where that is."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class Misuse(Exception):
    """A value does not fit a function; the evaluator knows where."""
