"""YAML (1.1, PyYAML's) as sections whose fields are taken one by one; whatever is wrong is told with its line.

Only the parser's tree is used: it knows the line of every value, and no value becomes an object. Scalars are taken as
the text that stands there, so that ``1.10`` stays ``1.10``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pymachine.machine.errors import MachineError

LARGEST = 1 << 20
"""Bytes of a fleet file."""
_NULL = "tag:yaml.org,2002:null"
Value = TypeVar("Value")


class FleetError(MachineError):
    """A fleet file is wrong: every problem, one a line, with file, line and field."""


@dataclass(slots=True)
class Problems:
    """What is wrong with one file, so far."""

    file: str
    found: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, where: str, what: str) -> None:
        """*line* counts from 1; *where* is a field such as ``machines.web.count``."""
        self.found.append((line, f"{self.file}:{line}: {f'{where}: ' if where else ''}{what}"))

    def check(self) -> None:
        """Raise `FleetError` if there are any."""
        if self.found:
            raise FleetError("\n".join(text for _, text in sorted(set(self.found))))


class Section:
    """A mapping of the file."""

    def __init__(self, node: Node, where: str, problems: Problems, line: int = 1) -> None:
        self.where = where
        self.line = line
        self._problems = problems
        self._fields: dict[str, Node] = {}
        self._lines: dict[str, int] = {}
        if isinstance(node, MappingNode):
            for key, value in node.value:
                self._add(key, value)
        elif not _is_null(node):
            problems.add(self.line, where, "this must be fields with values")

    def _add(self, key: Node, value: Node) -> None:
        name = key.value if isinstance(key, ScalarNode) else ""
        line = key.start_mark.line + 1
        if not name:
            self._problems.add(line, self.where, "a field's name must be a word")
        elif name in self._fields:
            self._problems.add(line, self.path(name), f"it stands in line {self._lines[name]} already")
        else:
            self._fields[name], self._lines[name] = value, line

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def names(self) -> list[str]:
        """All fields, in order."""
        return list(self._fields)

    def path(self, name: str) -> str:
        """The field with all that it is within; the section itself for an empty *name*."""
        return ".".join(part for part in (self.where, name) if part)

    def wrong(self, name: str, what: str) -> None:
        """A problem with field *name*."""
        self._problems.add(self._lines.get(name, self.line), self.path(name), what)

    def text(self, name: str, default: str = "") -> str:
        """A scalar as it stands there."""
        node = self._fields.get(name)
        if node is None:
            return default
        if not isinstance(node, ScalarNode) or _is_null(node):
            self.wrong(name, "this must be one value")
            return default
        return str(node.value)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of scalars; one scalar is a list of itself."""
        node = self._fields.get(name)
        if node is None or _is_null(node):
            return ()
        items = node.value if isinstance(node, SequenceNode) else [node]
        if not all(isinstance(item, ScalarNode) and not _is_null(item) for item in items):
            self.wrong(name, "this must be a list of values")
            return ()
        return tuple(str(item.value) for item in items)

    def parsed(self, name: str, parse: Callable[[str], Value], default: Value) -> Value:
        """A scalar through *parse*, whose `MachineError` or `ValueError` is a problem of the field."""
        if name not in self._fields:
            return default
        before = len(self._problems.found)
        text = self.text(name)
        if len(self._problems.found) > before:
            return default
        try:
            return parse(text)
        except (MachineError, ValueError) as error:
            self.wrong(name, str(error))
            return default

    def section(self, name: str) -> Section | None:
        """A mapping within; ``None`` when there is none."""
        node = self._fields.get(name)
        return Section(node, self.path(name), self._problems, self._lines[name]) if node is not None else None

    def sections(self) -> Iterator[tuple[str, Section]]:
        """All fields as mappings."""
        for name in self._fields:
            section = self.section(name)
            assert section is not None
            yield name, section

    def only(self, known: Iterable[str]) -> None:
        """Tell of fields that are none of *known*."""
        for name in self._fields:
            if name not in known:
                self.wrong(name, f"there is no such field; known are {', '.join(known)}")


def read(path: Path) -> tuple[Section, Problems]:
    """The file's top section, and where problems go. Raises `FleetError` for what is no YAML, `MachineError` for a file
    that cannot be read."""
    problems = Problems(str(path))
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise MachineError(f"cannot read {path}: {error.strerror or error}") from error
    if len(content) > LARGEST:
        raise FleetError(f"{path}: it is larger than {LARGEST >> 20} MiB")
    try:
        node = yaml.compose(content, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise FleetError(f"{path}:{line}: {error.problem or 'this is not YAML'}") from error
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        raise FleetError(f"{path}:1: this is not YAML: {str(error).splitlines()[0]}") from error
    if node is None:
        raise FleetError(f"{path}:1: the file is empty")
    return Section(node, "", problems), problems


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and bool(node.tag == _NULL)
