"""Go's fmt.Sprintf for the values that templates see (https://pkg.go.dev/fmt).

Mistakes show in the text as they do in Go: ``%!d(string=x)``, ``%!s(MISSING)``, ``%!(EXTRA int=1)``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from pymachine.machine.gotemplate.errors import Misuse
from pymachine.machine.gotemplate.values import format_float, format_value, kind_of

LARGEST = 1_000_000
"""The widest and most precise that a value may be asked to print."""
_VERB = re.compile(r"%([-+# 0]*)(\*|\d*)(?:\.(\*|\d*))?(.?)", re.DOTALL)
_BASES = {"b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}


def sprintf(text: str, arguments: Sequence[Any]) -> str:
    """*text* with its verbs replaced."""
    return _Printer(arguments).run(text)


def sprint(arguments: Sequence[Any]) -> str:
    """The values, with a blank between two of which neither is a string."""
    parts: list[str] = []
    for before, value in zip([None, *arguments], arguments, strict=False):
        if parts and not isinstance(before, str) and not isinstance(value, str):
            parts.append(" ")
        parts.append(format_value(value))
    return "".join(parts)


def sprintln(arguments: Sequence[Any]) -> str:
    """The values with blanks between, and a line break."""
    return f"{' '.join(map(format_value, arguments))}\n"


class _Printer:
    def __init__(self, arguments: Sequence[Any]) -> None:
        self._arguments = arguments
        self._used = 0

    def run(self, text: str) -> str:
        done = _VERB.sub(self._verb, text)
        extra = self._arguments[self._used :]
        return done + (f"%!(EXTRA {', '.join(map(_typed, extra))})" if extra else "")

    def _verb(self, match: re.Match[str]) -> str:
        flags, verb = match[1], match[4]
        if verb == "[":
            raise Misuse("argument indexes like %[1]d are not supported")
        width = self._size(match[2])
        precision = None if match[3] is None else self._size(match[3]) or 0
        if width is not None and width < 0:
            flags, width = f"{flags}-", -width
        if verb == "%":
            return "%"
        if not verb:
            return "%!(NOVERB)"
        if self._used >= len(self._arguments):
            return f"%!{verb}(MISSING)"
        self._used += 1
        value = self._arguments[self._used - 1]
        return _pad(_format(verb, value, flags, precision), value, flags, width or 0)

    def _size(self, text: str) -> int | None:
        if not text:
            return None
        size = self._star() if text == "*" else int(text)
        if abs(size) > LARGEST:
            raise Misuse(f"a width or precision of {size} is too large")
        return size

    def _star(self) -> int:
        value = self._arguments[self._used] if self._used < len(self._arguments) else None
        self._used += 1
        if type(value) is not int:
            raise Misuse("* needs a whole number")
        return value


def _pad(text: str, value: Any, flags: str, width: int) -> str:
    if "-" in flags:
        return text.ljust(width)
    if "0" in flags and isinstance(value, int | float) and text[-1:].isalnum() and not isinstance(value, bool):
        return text[0] + text[1:].rjust(width - 1, "0") if text[0] in "+- " else text.rjust(width, "0")
    return text.rjust(width)


def _format(verb: str, value: Any, flags: str, precision: int | None) -> str:
    if isinstance(value, list) and verb not in "vT":
        return f"[{' '.join(_format(verb, item, flags, precision) for item in value)}]"
    done = _by_type(verb, value, flags, precision)
    return f"%!{verb}({_typed(value)})" if done is None else done


def _by_type(verb: str, value: Any, flags: str, precision: int | None) -> str | None:
    """``None`` when the verb does not suit the value."""
    if verb == "T":
        return kind_of(value)
    if verb == "v" and not isinstance(value, int | float):
        return format_value(value, names="+" in flags)
    if isinstance(value, bool):
        return format_value(value) if verb in "tv" else None
    if isinstance(value, int):
        return _integer(verb, value, flags)
    if isinstance(value, float):
        return _float(verb, value, flags, precision)
    return _string(verb, value, flags, precision) if isinstance(value, str) else None


def _integer(verb: str, value: int, flags: str) -> str | None:
    sign = "-" if value < 0 else "+" if "+" in flags else " " if " " in flags else ""
    if verb in "dv":
        return f"{sign}{abs(value)}"
    if verb in _BASES:
        prefix = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}.get(verb, "") if "#" in flags else ""
        return f"{sign}{'0o' if verb == 'O' else prefix}{abs(value):{_BASES[verb]}}"
    if verb in "cqU":
        character = chr(value) if 0 <= value < 0x110000 else "\ufffd"
        return {"c": character, "q": f"'{character}'", "U": f"U+{value:04X}"}[verb]
    return None


def _float(verb: str, value: float, flags: str, precision: int | None) -> str | None:
    sign = "+" if "+" in flags else " " if " " in flags else "-"
    if verb in "gGv" and precision is None:
        text = format_float(value).upper() if verb == "G" else format_float(value)
        return text if sign == "-" or text[0] in "+-" else f"{sign}{text}"
    if verb in "eEfFgGv":
        return f"{value:{sign}.{6 if precision is None else precision}{verb.replace('v', 'g')}}"
    return None


def _string(verb: str, value: str, flags: str, precision: int | None) -> str | None:
    if verb == "s":
        return value if precision is None else value[:precision]
    if verb == "q":
        return f"`{value}`" if "#" in flags and "`" not in value else json.dumps(value, ensure_ascii="+" in flags)
    if verb in "xX":
        digits = value.encode().hex(" " if " " in flags else "") if " " in flags else value.encode().hex()
        return digits.upper() if verb == "X" else digits
    return None


def _typed(value: Any) -> str:
    return "<nil>" if value is None else f"{kind_of(value)}={format_value(value)}"
