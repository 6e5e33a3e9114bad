"""Names of containers."""

from __future__ import annotations

import re

import pytest

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.engine.containers import names


@pytest.mark.parametrize("name", ["web", "/web", "a.b_c-1", "0x"])
def test_allowed(name: str) -> None:
    assert names.check(name) == name.removeprefix("/")


@pytest.mark.parametrize("name", ["a", "-web", "a b", "a/b", "//web", "", "ä1", "web\n"])
def test_not_allowed(name: str) -> None:
    with pytest.raises(InvalidArgument, match="Invalid container name"):
        names.check(name)


def test_made_up_names_are_valid_and_free() -> None:
    taken: set[str] = set()
    for _ in range(300):
        name = names.invent(taken.__contains__)
        assert re.fullmatch(r"[a-z]+_[a-z]+\d*", names.check(name))
        taken.add(name)


def test_there_is_always_a_name_left() -> None:
    assert names.check(names.invent(lambda name: True))
