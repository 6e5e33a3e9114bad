"""Go's literals: numbers, quoted and raw strings, character constants (the Go specification, Lexical elements)."""

from __future__ import annotations

import re

_INTEGER = re.compile(r"[+-]?(0[xX][0-9a-fA-F_]+|0[oO]?[0-7_]+|0[bB][01_]+|0|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[+-]?([0-9][0-9_]*)?\.?[0-9_]*([eE][+-]?[0-9]+)?")
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"'}
_LEGACY_OCTAL = re.compile(r"([+-]?)0([0-7_]+)")


def number(text: str) -> int | float:
    """A number; raises `ValueError` for what is none, imaginary and hexadecimal floating-point ones included."""
    if _INTEGER.fullmatch(text):
        return int(_LEGACY_OCTAL.sub(r"\g<1>0o\2", text) if _LEGACY_OCTAL.fullmatch(text) else text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    raise ValueError(f"{text} is not a number")


def unquote(text: str) -> str | int:
    """What a literal in its quotes means: a string, or for a character constant its code point."""
    quote, inside = text[0], text[1:-1]
    if quote == "`":
        return inside.replace("\r", "")
    value = _ESCAPE.sub(lambda match: _escape(match.group(1), quote), inside)
    if quote == '"':
        return value
    if len(value) != 1:
        raise ValueError(f"{text} is not one character")
    return ord(value)


def _escape(name: str, quote: str) -> str:
    if name in _SIMPLE and name not in "'\"".replace(quote, ""):
        return _SIMPLE[name]
    try:
        if name[0] in "xuU" and len(name) > 1:
            return chr(int(name[1:], 16))
        if len(name) == 3:
            return chr(int(name, 8))
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"\\{name} is not an escape sequence")
