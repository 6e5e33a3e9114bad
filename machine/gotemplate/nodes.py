"""A parsed template: a list of nodes, whose pipelines are trees of operands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Literal(NamedTuple):
    """A string, number, true, false or nil."""

    value: Any
    offset: int


class Dot(NamedTuple):
    """The cursor: ``.``."""

    offset: int


class Variable(NamedTuple):
    """``$`` or ``$name``."""

    name: str
    offset: int


class Function(NamedTuple):
    """A function's name; its arguments are the rest of the command."""

    name: str
    offset: int


class Chain(NamedTuple):
    """Fields of an operand: ``.a.b`` (of the cursor), ``$x.a``, ``(…).a``."""

    operand: Operand
    names: tuple[str, ...]
    offset: int


class Command(NamedTuple):
    """An operand with its arguments."""

    operands: tuple[Operand, ...]
    offset: int


class Pipeline(NamedTuple):
    """Commands, each given the value of the one before as its last argument; *variables* get the value."""

    commands: tuple[Command, ...]
    variables: tuple[str, ...]
    declares: bool
    """``:=``, not ``=``."""
    offset: int


Operand = Literal | Dot | Variable | Function | Chain | Pipeline


class Text(NamedTuple):
    """What is printed as it is."""

    text: str


class Action(NamedTuple):
    """A pipeline whose value is printed, unless it goes to a variable."""

    pipeline: Pipeline


class Branch(NamedTuple):
    """``if``, ``with`` or ``range``."""

    word: str
    pipeline: Pipeline
    body: Sequence[Node]
    otherwise: Sequence[Node]


class Jump(NamedTuple):
    """``break`` or ``continue``."""

    word: str


Node = Text | Action | Branch | Jump
