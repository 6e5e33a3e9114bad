"""A template as tokens: text between actions, and what stands within ``{{`` and ``}}``.

https://pkg.go.dev/text/template: actions, trim markers, comments; literals are those of the Go specification.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from pymachine.machine.gotemplate.errors import Wrong
from pymachine.machine.gotemplate.literals import number, unquote

LEFT, RIGHT = "{{", "}}"
_BLANK = " \t\r\n"
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_TOKEN = re.compile(
    r"""
      (?P<field>\.[^\W\d]\w*)
    | (?P<number>[+-]?(?:\d|\.\d)[\w.]*(?:(?<=[eE])[+-]\d+)?)
    | (?P<dot>\.)
    | (?P<variable>\$\w*)
    | (?P<word>[^\W\d]\w*)
    | (?P<string>"(?:\\.|[^"\\\n])*")
    | (?P<raw>`[^`]*`)
    | (?P<char>'(?:\\.[^']*|[^'\\\n])')
    | (?P<declare>:=)
    | (?P<mark>[|=,()])
    """,
    re.VERBOSE,
)


class Token(NamedTuple):
    """One token: *kind* is ``text``, ``left``, ``right``, ``field``, ``dot``, ``variable``, ``word``, ``literal``,
    or the mark itself; *value* its text, or the literal's value."""

    kind: str
    value: Any
    offset: int
    spaced: bool = False
    """Whether a blank stands before it: ``.a.b`` is one operand, ``.a .b`` are two."""


def tokens(source: str) -> Iterator[Token]:
    """The tokens of *source*; raises `Wrong`."""
    at, trim = 0, False
    while True:
        start = source.find(LEFT, at)
        text = source[at:] if start < 0 else source[at:start]
        inside = start + len(LEFT)
        trims_before = start >= 0 and source[inside : inside + 1] == "-" and source[inside + 1 : inside + 2] in _BLANKS
        text = text.lstrip(_BLANK) if trim else text
        text = text.rstrip(_BLANK) if trims_before else text
        if text:
            yield Token("text", text, at)
        if start < 0:
            return
        action = _Action(source, start, inside + 2 if trims_before else inside)
        yield from action.tokens()
        at, trim = action.end, action.trims


_BLANKS = tuple(_BLANK)


class _Action:
    """What stands between one ``{{`` and its ``}}``; *end* and *trims* are known when its tokens are read."""

    def __init__(self, source: str, start: int, at: int) -> None:
        self._source = source
        self._start = start
        self._at = at
        self.end = len(source)
        self.trims = False

    def tokens(self) -> Iterator[Token]:
        comment = _COMMENT.match(self._source, self._at)
        if comment or self._source.startswith("/*", self._at):
            if comment is None:
                raise Wrong("a comment is not closed", self._start)
            self._at = comment.end()
            if not self._closes(self._skip_blanks()):
                raise Wrong("a comment must be all that its action holds", self._start)
            return
        yield Token("left", LEFT, self._start)
        while not self._closes(spaced := self._skip_blanks()):
            yield self._next(spaced)
        yield Token("right", RIGHT, self.end - len(RIGHT))

    def _skip_blanks(self) -> bool:
        before = self._at
        while self._source[self._at : self._at + 1] in _BLANKS:
            self._at += 1
        return self._at > before

    def _closes(self, spaced: bool) -> bool:
        """Whether the action ends here: ``}}``, or after a blank ``-}}``."""
        self.trims = spaced and self._source.startswith(f"-{RIGHT}", self._at)
        if not self.trims and not self._source.startswith(RIGHT, self._at):
            return False
        self.end = self._at + len(RIGHT) + self.trims
        return True

    def _next(self, spaced: bool) -> Token:
        if self._at >= len(self._source):
            raise Wrong("an action is not closed", self._start)
        found = _TOKEN.match(self._source, self._at)
        if found is None:
            raise Wrong(_complaint(self._source[self._at]), self._at)
        kind, text, offset = str(found.lastgroup), found.group(), self._at
        self._at = found.end()
        if kind == "mark" or kind == "declare":
            return Token(text, text, offset, spaced)
        if kind == "field":
            return Token(kind, text[1:], offset, spaced)
        if kind in ("number", "string", "raw", "char"):
            try:
                value = number(text) if kind == "number" else unquote(text)
            except ValueError as error:
                raise Wrong(str(error), offset) from None
            return Token("literal", value, offset, spaced)
        return Token(kind, text, offset, spaced)


def _complaint(character: str) -> str:
    kinds = {'"': "a quoted string", "`": "a raw string", "'": "a character constant"}
    return f"{kinds[character]} is not closed" if character in kinds else f"unexpected {character!r}"
