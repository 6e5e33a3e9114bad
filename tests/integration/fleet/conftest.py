"""Real local machines, in a store and a root of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.localprogram import image_root, local_program
from support.program import Program


@pytest.fixture(scope="module")
def local() -> Iterator[Program]:
    """The program with an empty store; all machines are removed at the end, also those half made."""
    with local_program(image_root()) as program:
        yield program
