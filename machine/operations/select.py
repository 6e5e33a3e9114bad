"""``ls --filter``: which rows are shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from pymachine.machine.errors import InvalidOption, MachineError
from pymachine.machine.operations.observe import Row

Test = Callable[[Row], bool]


def parse_filters(filters: Iterable[str]) -> Test:
    """One test from all ``key=value`` filters: any value of a key will do, each key must be met."""
    tests: dict[str, list[Test]] = {}
    for text in filters:
        key, separator, value = text.partition("=")
        if not separator:
            raise MachineError("Unsupported filter syntax")
        key = key.lower()
        tests.setdefault(key, []).append(_test(key, value))
    return lambda row: all(any(test(row) for test in choices) for choices in tests.values())


def filters_by_state(filters: Iterable[str]) -> bool:
    """Whether a filter needs the machines to be asked."""
    return any(text.partition("=")[0].lower() == "state" for text in filters)


def _test(key: str, value: str) -> Test:
    folded = value.lower()
    if key == "driver":
        return lambda row: row.driver.lower() == folded
    if key == "state":
        return lambda row: row.state.lower() == folded
    if key == "swarm":
        return lambda row: row.swarm.removesuffix(" (master)").lower() == folded
    if key == "name":
        pattern = _pattern(value)
        return lambda row: pattern.search(row.name) is not None
    if key == "label":
        return _label_test(value)
    raise MachineError(f"Unsupported filter key '{key}'")


def _pattern(value: str) -> re.Pattern[str]:
    try:
        return re.compile(value)
    except re.error as error:
        raise InvalidOption(f"--filter name={value}: not a regular expression: {error}") from error


def _label_test(value: str) -> Test:
    """``label=KEY=VALUE`` compares the value whatever its case; ``label=KEY`` asks for the key alone."""
    key, separator, wanted = value.partition("=")

    def test(row: Row) -> bool:
        pairs = (label.partition("=") for label in row.labels)
        return any(name == key and (not separator or text.lower() == wanted.lower()) for name, _, text in pairs)

    return test
