"""The functions that templates may call: Go's own, and the ones that docker-machine's and docker's users know."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pymachine.machine.gotemplate.compare import equal, less
from pymachine.machine.gotemplate.errors import Misuse
from pymachine.machine.gotemplate.printf import LARGEST, sprint, sprintf, sprintln
from pymachine.machine.gotemplate.values import Struct, format_value, is_true, kind_of

_HTML = {"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"}
_JAVASCRIPT = {"\\": "\\\\", "'": "\\'", '"': '\\"'}


class Function(NamedTuple):
    """A function with how many arguments it takes."""

    call: Callable[..., Any]
    least: int
    most: int | None = None
    """``None``: any number."""

    def __call__(self, arguments: list[Any]) -> Any:
        """Call it; raises `Misuse`."""
        if len(arguments) < self.least or (self.most is not None and len(arguments) > self.most):
            raise Misuse(f"wrong number of arguments: {len(arguments)}")
        return self.call(*arguments)


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON with the keys of maps in order and the fields of structs in theirs."""
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(_ordered(value), ensure_ascii=False, indent=indent, separators=separators)


def _ordered(value: Any) -> Any:
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    if isinstance(value, dict):
        pairs = value.items() if isinstance(value, Struct) else sorted(value.items())
        return {key: _ordered(item) for key, item in pairs}
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Misuse(f"expected a string, found {kind_of(value)}")
    return value


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, list | dict) and not isinstance(value, Struct):
        return len(value)
    raise Misuse(f"a {kind_of(value)} has no length")


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        value = _element(value, key)
    return value


def _element(value: Any, key: Any) -> Any:
    if isinstance(value, dict) and not isinstance(value, Struct):
        return value.get(_text(key))
    if not isinstance(value, list | str):
        raise Misuse(f"can't index a {kind_of(value)}")
    sequence = value.encode() if isinstance(value, str) else value
    return sequence[_position(key, len(sequence) - 1)]


def _position(value: Any, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Misuse(f"can't index with a {kind_of(value)}")
    if not 0 <= value <= most:
        raise Misuse(f"index out of range: {value}")
    return value


def _slice(value: Any, *bounds: Any) -> Any:
    """Of a string, bytes are counted, as in Go; those that are no text any more become replacement characters."""
    if not isinstance(value, list | str):
        raise Misuse(f"can't slice a {kind_of(value)}")
    sequence = value.encode() if isinstance(value, str) else value
    first = _position(bounds[0], len(sequence)) if bounds else 0
    last = _position(bounds[1], len(sequence)) if len(bounds) > 1 else len(sequence)
    if first > last:
        raise Misuse(f"invalid slice index: {first} > {last}")
    part = sequence[first:last]
    return part.decode(errors="replace") if isinstance(part, bytes) else part


def _join(value: Any, separator: Any) -> str:
    if not isinstance(value, list | None):
        raise Misuse(f"can't join a {kind_of(value)}")
    return _text(separator).join(map(format_value, value or []))


def _split(value: Any, separator: Any) -> list[str]:
    return _text(value).split(separator) if _text(separator) else list(_text(value))


def _title(value: Any) -> str:
    return re.sub(r"(?<![\w'])\w", lambda match: match[0].upper(), _text(value))


def _pad(value: Any, before: Any, after: Any) -> str:
    if max(before, after) > LARGEST:
        raise Misuse(f"{max(before, after)} blanks are too many")
    return f"{' ' * max(0, before)}{_text(value)}{' ' * max(0, after)}" if value else ""


def _html(*arguments: Any) -> str:
    return "".join(_HTML.get(character, character) for character in _plain(arguments))


def _javascript(*arguments: Any) -> str:
    return "".join(map(_escape_for_javascript, _plain(arguments)))


def _escape_for_javascript(character: str) -> str:
    unsafe = character in "<>&=" or not character.isprintable()
    return _JAVASCRIPT.get(character, f"\\u{ord(character):04X}" if unsafe else character)


def _query(*arguments: Any) -> str:
    from urllib.parse import quote_plus

    return quote_plus(_plain(arguments))


def _plain(arguments: tuple[Any, ...]) -> str:
    return arguments[0] if len(arguments) == 1 and isinstance(arguments[0], str) else sprint(arguments)


FUNCTIONS: Mapping[str, Function] = {
    "eq": Function(equal, 2),
    "ne": Function(lambda one, other: not equal(one, other), 2, 2),
    "lt": Function(less, 2, 2),
    "le": Function(lambda one, other: less(one, other) or equal(one, other), 2, 2),
    "gt": Function(lambda one, other: less(other, one), 2, 2),
    "ge": Function(lambda one, other: less(other, one) or equal(one, other), 2, 2),
    "not": Function(lambda value: not is_true(value), 1, 1),
    "len": Function(_length, 1, 1),
    "index": Function(_index, 1),
    "slice": Function(_slice, 1, 3),
    "print": Function(lambda *arguments: sprint(arguments), 0),
    "println": Function(lambda *arguments: sprintln(arguments), 0),
    "printf": Function(lambda text, *arguments: sprintf(_text(text), arguments), 1),
    "html": Function(_html, 0),
    "js": Function(_javascript, 0),
    "urlquery": Function(_query, 0),
    "json": Function(to_json, 1, 1),
    "prettyjson": Function(functools.partial(to_json, indent=4), 1, 1),
    "join": Function(_join, 2, 2),
    "split": Function(_split, 2, 2),
    "lower": Function(lambda value: _text(value).lower(), 1, 1),
    "upper": Function(lambda value: _text(value).upper(), 1, 1),
    "title": Function(_title, 1, 1),
    "pad": Function(_pad, 3, 3),
    "truncate": Function(lambda value, length: _text(value)[: max(0, length)], 2, 2),
}

LAZY = ("and", "or")
"""Functions whose later arguments are looked at only when the earlier ones leave the answer open."""

NAMES = frozenset((*FUNCTIONS, *LAZY))
