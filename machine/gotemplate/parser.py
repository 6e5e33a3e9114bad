"""Tokens to nodes: Go's grammar for actions and pipelines (https://pkg.go.dev/text/template)."""

from __future__ import annotations

from collections.abc import Container

from pymachine.machine.gotemplate import nodes as tree
from pymachine.machine.gotemplate.errors import Wrong
from pymachine.machine.gotemplate.lexer import Token, tokens

_BRANCHES = ("if", "range", "with")
_UNSUPPORTED = ("define", "template", "block")
_CONSTANTS = {"true": True, "false": False, "nil": None}


def parse(source: str, functions: Container[str]) -> list[tree.Node]:
    """The nodes of *source*, which may call *functions*; raises `Wrong`."""
    return _Parser(source, functions).parse()


class _Parser:
    def __init__(self, source: str, functions: Container[str]) -> None:
        self._tokens = list(tokens(source))
        self._end = Token("end", "the end of the template", len(source))
        self._at = 0
        self._functions = functions
        self._variables = ["$"]
        self._loops = 0

    def parse(self) -> list[tree.Node]:
        nodes, ended_by = self._nodes()
        if ended_by.kind != "end":
            raise Wrong(f"unexpected {{{{{ended_by.value}}}}}", ended_by.offset)
        return nodes

    def _peek(self) -> Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else self._end

    def _next(self) -> Token:
        token = self._peek()
        self._at += 1
        return token

    def _expect(self, kind: str, where: str) -> Token:
        token = self._next()
        if token.kind != kind:
            raise _unexpected(token, where)
        return token

    def _nodes(self) -> tuple[list[tree.Node], Token]:
        """Nodes up to ``else``, ``end`` or the template's end, and which of these it was."""
        nodes: list[tree.Node] = []
        while True:
            token = self._next()
            if token.kind == "end":
                return nodes, token
            if token.kind == "text":
                nodes.append(tree.Text(token.value))
                continue
            word = self._peek()
            if word.kind == "word" and word.value in ("else", "end"):
                return nodes, self._next()
            nodes.append(self._action())

    def _action(self) -> tree.Node:
        token = self._peek()
        if token.kind == "word" and token.value in _BRANCHES:
            return self._branch(self._next())
        if token.kind == "word" and token.value in _UNSUPPORTED:
            raise Wrong(f"{token.value} is not supported", token.offset)
        if token.kind == "word" and token.value in ("break", "continue") and token.value not in self._functions:
            return self._jump(self._next())
        pipeline = self._pipeline("an action")
        self._expect("right", "an action")
        return tree.Action(pipeline)

    def _jump(self, word: Token) -> tree.Node:
        if not self._loops:
            raise Wrong(f"{word.value} outside range", word.offset)
        self._expect("right", word.value)
        return tree.Jump(word.value)

    def _branch(self, word: Token) -> tree.Branch:
        """From after its word to its ``end``."""
        known = len(self._variables)
        pipeline = self._pipeline(word.value)
        self._expect("right", word.value)
        visible = len(self._variables)
        self._loops += word.value == "range"
        body, ended_by = self._nodes()
        self._loops -= word.value == "range"
        del self._variables[visible:]
        otherwise: list[tree.Node] = []
        if ended_by.value == "else":
            otherwise, ended_by = self._otherwise(word)
        if ended_by.kind == "end":
            raise Wrong(f"{word.value} has no end", word.offset)
        if ended_by is not _CHAINED:
            self._expect("right", "end")
        del self._variables[known:]
        return tree.Branch(word.value, pipeline, body, otherwise)

    def _otherwise(self, word: Token) -> tuple[list[tree.Node], Token]:
        """What follows ``else``; with ``else if`` and ``else with`` a branch that has the same ``end``."""
        token = self._peek()
        if token.kind == "word" and token.value == word.value and word.value != "range":
            return [self._branch(self._next())], _CHAINED
        self._expect("right", "else")
        nodes, ended_by = self._nodes()
        if ended_by.value == "else":
            raise Wrong("a second else", ended_by.offset)
        return nodes, ended_by

    def _pipeline(self, where: str) -> tree.Pipeline:
        offset = self._peek().offset
        names, declares = self._declaration(where)
        commands = [self._command(where)]
        while self._peek().kind == "|":
            self._next()
            commands.append(self._command(where))
        for later in commands[1:]:
            if not isinstance(later.operands[0], tree.Function):
                raise Wrong("what stands after | must be a function", later.offset)
        if declares:
            self._variables.extend(names)
        return tree.Pipeline(tuple(commands), names, declares, offset)

    def _declaration(self, where: str) -> tuple[tuple[str, ...], bool]:
        """``$x :=``, ``$x =``, and for range ``$i, $x :=``; nothing when it is a mere use of a variable."""
        start, names = self._at, []
        while self._peek().kind == "variable":
            names.append(self._next())
            mark = self._next()
            if mark.kind in (":=", "="):
                self._check_targets(names, where, declares=mark.kind == ":=")
                return tuple(name.value for name in names), mark.kind == ":="
            if mark.kind != "," or where != "range":
                break
        self._at = start
        return (), False

    def _check_targets(self, names: list[Token], where: str, *, declares: bool) -> None:
        if len(names) > (2 if where == "range" else 1):
            raise Wrong("too many variables", names[-1].offset)
        for name in names:
            if name.value == "$" or (not declares and name.value not in self._variables):
                raise Wrong(f"the variable {name.value} cannot be set", name.offset)

    def _command(self, where: str) -> tree.Command:
        offset = self._peek().offset
        operands: list[tree.Operand] = []
        while (token := self._peek()).kind not in ("|", "right", ")", "end"):
            if operands and not token.spaced and token.kind != "(" and self._tokens[self._at - 1].kind != ")":
                raise _unexpected(token, where)
            operands.append(self._operand(where))
        if not operands:
            raise Wrong(f"{where} lacks a value", offset)
        if len(operands) > 1 and not isinstance(operands[0], tree.Function):
            raise Wrong("only a function takes arguments", operands[0].offset)
        return tree.Command(tuple(operands), offset)

    def _operand(self, where: str) -> tree.Operand:
        operand = self._term(where)
        names: list[str] = []
        while self._peek().kind == "field" and not self._peek().spaced:
            names.append(self._next().value)
        if not names:
            return operand
        if isinstance(operand, tree.Literal | tree.Dot | tree.Function):
            raise Wrong(f"unexpected .{names[0]}", operand.offset)
        if isinstance(operand, tree.Chain):
            return operand._replace(names=(*operand.names, *names))
        return tree.Chain(operand, tuple(names), operand.offset)

    def _term(self, where: str) -> tree.Operand:
        token = self._next()
        offset = token.offset
        match token.kind:
            case "literal":
                return tree.Literal(token.value, offset)
            case "dot":
                return tree.Dot(offset)
            case "field":
                return tree.Chain(tree.Dot(offset), (token.value,), offset)
            case "variable":
                if token.value not in self._variables:
                    raise Wrong(f"the variable {token.value} is not defined", offset)
                return tree.Variable(token.value, offset)
            case "word":
                return self._named(token)
            case "(":
                pipeline = self._pipeline("( )")
                self._expect(")", "( )")
                return pipeline
        raise _unexpected(token, where)

    def _named(self, token: Token) -> tree.Operand:
        if token.value in _CONSTANTS:
            return tree.Literal(_CONSTANTS[token.value], token.offset)
        if token.value in self._functions:
            return tree.Function(token.value, token.offset)
        raise Wrong(f'function "{token.value}" is not known', token.offset)


_CHAINED = Token("word", "chained", 0)
"""In place of ``end``, when a branch after ``else`` has read it."""


def _unexpected(token: Token, where: str) -> Wrong:
    return Wrong(f"unexpected {token.value} in {where}", token.offset)
