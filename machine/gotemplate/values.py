"""The values that templates see: JSON's, and how Go prints and judges them.

Whole numbers stay whole (docker-machine's become floating-point numbers, so that 2000000 prints as 2e+06).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymachine.machine.gotemplate.errors import Misuse

NO_VALUE = "<no value>"
MOST_NUMBERS = 1_000_000
"""The largest number that range goes up to."""
_LEAST_POWER, _FIRST_POWER = -4, 6
"""Numbers outside these powers of ten have an exponent, as strconv.FormatFloat(x, 'g', -1, 64) gives them."""


class Struct(dict[str, Any]):
    """An object whose fields are known: another field is a mistake, not a missing value."""

    def __init__(self, kind: str, fields: Mapping[str, Any]) -> None:
        """*kind* is what error messages call it."""
        super().__init__(fields)
        self.kind = kind


def kind_of(value: Any) -> str:
    """What error messages call a value's type."""
    if isinstance(value, Struct):
        return value.kind
    names = {bool: "bool", int: "int", float: "float", str: "string", list: "list", dict: "map", type(None): "nil"}
    return names.get(type(value), type(value).__name__)


def field(value: Any, name: str) -> Any:
    """``.name`` of *value*: ``None`` for a key that a map lacks, and for anything of no value."""
    if value is None:
        return None
    if not isinstance(value, dict) or (isinstance(value, Struct) and name not in value):
        raise Misuse(f"can't evaluate field {name} in type {kind_of(value)}")
    return value.get(name)


def is_true(value: Any) -> bool:
    """What ``if`` takes for true: not zero, not empty."""
    return isinstance(value, Struct) or bool(value)


def items(value: Any) -> list[tuple[Any, Any]]:
    """What ``range`` goes through: a list's elements by index, a map's by key in order, the numbers below a number."""
    if value is None:
        return []
    if isinstance(value, list):
        return list(enumerate(value))
    if isinstance(value, dict) and not isinstance(value, Struct):
        return sorted(value.items())
    if isinstance(value, int) and not isinstance(value, bool):
        if value > MOST_NUMBERS:
            raise Misuse(f"range over {value} is too long")
        return [(number, number) for number in range(value)]
    raise Misuse(f"range can't iterate over a {kind_of(value)}")


def display(value: Any) -> str:
    """As an action prints it."""
    return NO_VALUE if value is None else format_value(value)


def format_value(value: Any, *, names: bool = False) -> str:
    """``%v`` of Go's fmt; with *names* ``%+v``, which shows the names of a struct's fields."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format_float(value)
    if isinstance(value, list):
        return f"[{' '.join(format_value(item, names=names) for item in value)}]"
    if isinstance(value, Struct):
        fields = ((f"{name}:" if names else "", item) for name, item in value.items())
        return f"{{{' '.join(f'{name}{format_value(item, names=names)}' for name, item in fields)}}}"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{format_value(item, names=names)}' for key, item in sorted(value.items()))}]"
    return str(value)


def format_float(value: float) -> str:
    """The shortest text that means *value*, with an exponent where Go has one."""
    if value != value or value in (float("inf"), float("-inf")):
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(value)]
    sign = "-" if str(value).startswith("-") else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0").rstrip("0") or "0"
    power = int(exponent or 0) + (len(whole) - 1 if whole != "0" else -1 - len(fraction) + len(fraction.lstrip("0")))
    if value == 0 or _LEAST_POWER <= power < _FIRST_POWER:
        return _plain(sign, digits, 0 if value == 0 else power)
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}e{power:+03d}"


def _plain(sign: str, digits: str, power: int) -> str:
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    whole = digits[: power + 1].ljust(power + 1, "0")
    return f"{sign}{whole}{'.' if digits[power + 1 :] else ''}{digits[power + 1 :]}"
