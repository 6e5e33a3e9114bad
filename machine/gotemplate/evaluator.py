"""Nodes and data to text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymachine.machine.gotemplate.errors import Misuse, Wrong
from pymachine.machine.gotemplate.functions import FUNCTIONS, LAZY
from pymachine.machine.gotemplate.nodes import (
    Action,
    Branch,
    Chain,
    Command,
    Dot,
    Function,
    Jump,
    Literal,
    Node,
    Operand,
    Pipeline,
    Text,
    Variable,
)
from pymachine.machine.gotemplate.values import display, field, is_true, items

_NO_ARGUMENT: Any = object()
"""The last argument of a pipeline's first command."""


def evaluate(nodes: Sequence[Node], data: Any) -> str:
    """What the template prints; raises `Wrong`."""
    run = _Run(data)
    run.walk(nodes, data)
    return "".join(run.printed)


class _Jumped(Exception):
    """``break`` or ``continue``, on its way to the loop."""


class _Run:
    def __init__(self, data: Any) -> None:
        self.printed: list[str] = []
        self._variables: list[tuple[str, Any]] = [("$", data)]

    def walk(self, nodes: Sequence[Node], dot: Any) -> None:
        """Print *nodes*; variables that they declare end with them."""
        known = len(self._variables)
        try:
            for node in nodes:
                self._visit(node, dot)
        finally:
            del self._variables[known:]

    def _visit(self, node: Node, dot: Any) -> None:
        if isinstance(node, Text):
            self.printed.append(node.text)
        elif isinstance(node, Action):
            value = self._pipeline(node.pipeline, dot)
            if not node.pipeline.variables:
                self.printed.append(display(value))
        elif isinstance(node, Jump):
            raise _Jumped(node.word)
        else:
            self._branch(node, dot)

    def _branch(self, node: Branch, dot: Any) -> None:
        known = len(self._variables)
        try:
            if node.word == "range":
                self._range(node, dot)
                return
            value = self._pipeline(node.pipeline, dot)
            inner = value if node.word == "with" else dot
            if is_true(value):
                self.walk(node.body, inner)
            else:
                self.walk(node.otherwise, dot)
        finally:
            del self._variables[known:]

    def _range(self, node: Branch, dot: Any) -> None:
        pipeline = node.pipeline
        pairs = self._guard(pipeline.offset, items, self._pipeline(pipeline._replace(variables=()), dot))
        for key, value in pairs:
            known = len(self._variables)
            given = (key, value) if len(pipeline.variables) == 2 else (value,)
            for name, item in zip(pipeline.variables, given, strict=False):
                self._set(name, item, declares=pipeline.declares)
            try:
                self.walk(node.body, value)
            except _Jumped as jump:
                if jump.args == ("break",):
                    return
            finally:
                del self._variables[known:]
        if not pairs:
            self.walk(node.otherwise, dot)

    def _pipeline(self, pipeline: Pipeline, dot: Any) -> Any:
        value = _NO_ARGUMENT
        for command in pipeline.commands:
            value = self._command(command, dot, value)
        for name in pipeline.variables:
            self._set(name, value, declares=pipeline.declares)
        return value

    def _set(self, name: str, value: Any, *, declares: bool) -> None:
        if declares:
            self._variables.append((name, value))
            return
        at = max(index for index, (known, _) in enumerate(self._variables) if known == name)
        self._variables[at] = (name, value)

    def _command(self, command: Command, dot: Any, last: Any) -> Any:
        first, *rest = command.operands
        if not isinstance(first, Function):
            return self._operand(first, dot)
        return self._call(first, rest, dot, last)

    def _call(self, function: Function, operands: Sequence[Operand], dot: Any, last: Any = _NO_ARGUMENT) -> Any:
        if function.name in LAZY:
            return self._decide(function, operands, dot, last)
        arguments = [self._operand(operand, dot) for operand in operands]
        if last is not _NO_ARGUMENT:
            arguments.append(last)
        return self._guard(function.offset, FUNCTIONS[function.name], arguments, name=function.name)

    def _decide(self, function: Function, operands: Sequence[Operand], dot: Any, last: Any) -> Any:
        """``and`` and ``or``: the first argument that decides, else the last one."""
        value = _NO_ARGUMENT
        for operand in operands:
            value = self._operand(operand, dot)
            if is_true(value) == (function.name == "or"):
                return value
        if last is not _NO_ARGUMENT:
            return last
        if value is _NO_ARGUMENT:
            raise Wrong(f"{function.name}: wrong number of arguments: 0", function.offset)
        return value

    def _operand(self, operand: Operand, dot: Any) -> Any:
        if isinstance(operand, Literal):
            return operand.value
        if isinstance(operand, Dot):
            return dot
        if isinstance(operand, Variable):
            return next(value for name, value in reversed(self._variables) if name == operand.name)
        if isinstance(operand, Chain):
            value = self._operand(operand.operand, dot)
            for name in operand.names:
                value = self._guard(operand.offset, field, value, name)
            return value
        if isinstance(operand, Function):
            return self._call(operand, (), dot)
        return self._pipeline(operand, dot)

    def _guard(self, offset: int, call: Any, *arguments: Any, name: str = "") -> Any:
        """Call, and say where it went wrong."""
        try:
            return call(*arguments)
        except Misuse as error:
            raise Wrong(f"{name}: {error}" if name else str(error), offset) from None
        except (TypeError, ValueError, OverflowError) as error:
            raise Wrong(f"{name or 'value'}: {error}", offset) from None
