"""How the client and the helper talk: one JSON object a line.

To the helper: ``{"call": 1, "operation": …}``, then for each of its questions ``{"call": 1, "answer": ""}``, whose text
says what went wrong. From it: ``{"hello": 1}`` first, then for each call ``{"call": 1, "tell": text}`` any number of
times, ``{"call": 1, "ask": what, …}``, which waits for its answer, and at last ``done`` or ``error``.
"""

from __future__ import annotations

import json
from typing import Any

import pymachine.machine.errors as errors
from pymachine.machine.errors import DeadlineExceeded, MachineError

PROTOCOL = 1
LONGEST_LINE = 1 << 18
"""Bytes; options with many mounts take a few kB."""


def encode(message: dict[str, Any]) -> bytes:
    """A message as a line."""
    return json.dumps(message, allow_nan=False).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """A line as a message; raises `ValueError` for anything else."""
    if len(line) > LONGEST_LINE:
        raise ValueError("the line is too long")
    try:
        message = json.loads(line)
    except RecursionError:
        raise ValueError("the line is nested too deep") from None
    if not isinstance(message, dict):
        raise ValueError("the line is not a JSON object")
    return message


def error_to_json(error: Exception) -> dict[str, Any]:
    """An error for the other side; what is none of ours is a defect, told as such."""
    if not isinstance(error, MachineError):
        return {"kind": "DriverError", "text": f"the privileged helper failed: {type(error).__name__}: {error}"}
    notes = list(getattr(error, "__notes__", []))
    found = {"kind": type(error).__name__, "text": str(error), "hint": error.hint, "notes": notes}
    if isinstance(error, DeadlineExceeded):
        found |= {"stage": error.stage, "last_error": error.last_error}
    return found


def error_from_json(value: dict[str, Any]) -> MachineError:
    """The error that the other side had, of the same class."""
    kind = getattr(errors, str(value.get("kind")), None)
    if not (isinstance(kind, type) and issubclass(kind, MachineError)):
        kind = errors.DriverError
    error = kind.__new__(kind)
    Exception.__init__(error, str(value.get("text", "")))
    error.hint = str(value.get("hint", ""))
    if isinstance(error, DeadlineExceeded):
        error.stage, error.last_error = str(value.get("stage", "")), str(value.get("last_error", ""))
    for note in value.get("notes", []):
        error.add_note(str(note))
    return error
