"""``eq``, ``lt`` and their kin: basic values of one type, whole numbers and fractions being one."""

from __future__ import annotations

from typing import Any

from pymachine.machine.gotemplate.errors import Misuse
from pymachine.machine.gotemplate.values import kind_of


def equal(first: Any, *others: Any) -> bool:
    """Whether *first* equals any of *others*; nothing but nil equals nil."""
    return any(_equal(first, other) for other in others)


def less(one: Any, other: Any) -> bool:
    """Whether *one* comes first: numbers by size, strings by code points."""
    if _family(one) not in ("number", "string"):
        raise Misuse(f"can't order a {kind_of(one)}")
    _check_families(one, other)
    return bool(one < other)


def _equal(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    _check_families(one, other)
    return bool(one == other)


def _check_families(one: Any, other: Any) -> None:
    for value in (one, other):
        if isinstance(value, list | dict):
            raise Misuse(f"can't compare a {kind_of(value)}")
    if _family(one) != _family(other):
        raise Misuse(f"can't compare a {kind_of(one)} with a {kind_of(other)}")


def _family(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else kind_of(value)
