"""Make several machines at once; what becomes of one is nothing to the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeVar

from pymachine.machine.errors import MachineError, MachineExists
from pymachine.machine.machine import Machine, Several
from pymachine.machine.operations.create import Request, create, is_wanted
from pymachine.machine.operations.report import Report
from pymachine.machine.operations.together import together
from pymachine.store.base import Store

Item = TypeVar("Item")


def numbered(request: Request, number: int) -> list[Request]:
    """*request* for ``NAME-1`` to ``NAME-N``."""
    return [dataclasses.replace(request, name=f"{request.name}-{index}") for index in range(1, number + 1)]


def create_many(
    store: Store, requests: Sequence[Request], report: Callable[[str], Report], *, most: int
) -> list[Machine]:
    """Make all machines, at most *most* at a time; *report* gives the report for a name. One that was made by the same
    request before is taken as it is, so that an interrupted run is gone on with by running it again. Raises one error
    that lists every failure, by name."""
    made: list[Machine] = []

    def make(request: Request) -> None:
        try:
            made.append(create(store, request, report(request.name)))
        except MachineExists:
            if not is_wanted(store, request):
                raise
            report(request.name).say("It is there already.")
            made.append(Machine.load(store, request.name))

    all_or_errors(make, requests, lambda request: request.name, most=most)
    return made


def all_or_errors(
    call: Callable[[Item], None], items: Sequence[Item], name: Callable[[Item], str], *, most: int
) -> None:
    """Run *call* on every item, at most *most* at a time; then raise one error that lists every failure, by name."""
    outcomes = together(call, items, most=most)
    errors = [_named(name(outcome.item), outcome.error) for outcome in outcomes if outcome.error]
    if errors:
        raise Several(errors)


def _named(name: str, error: Exception) -> MachineError:
    """The error with the machine's name before it. One that is none of ours is a defect: let it through."""
    if not isinstance(error, MachineError):
        raise error
    named = MachineError(f"{name}: {error}", hint=error.hint)
    named.exit_code = error.exit_code
    return named
