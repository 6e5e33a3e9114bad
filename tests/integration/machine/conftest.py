"""Stores of machines that nobody answers for, and real local machines in a store and a root of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fleet import REFUSED
from support.localprogram import image_root, local_program
from support.program import Program


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The program, whose store is not made yet."""
    return Program(tmp_path / "store")


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A store with machines h1, h2 and a damaged one; tests must not change it."""
    program = Program(tmp_path_factory.mktemp("filled") / "store")
    program.ok("create", "-d", "none", "--url", REFUSED, "--engine-label", "role=web", "h1")
    program.ok("create", "-d", "none", "--none-url", "tcp://[::1]:1", "h2")
    program.ok("create", "-d", "none", "--none-url", REFUSED, "broken")
    (program.store / "machines" / "broken" / "record.json").write_text('{"name": "bro')
    return program


@pytest.fixture(scope="session")
def images() -> str:
    """The folder with the images."""
    return image_root()


@pytest.fixture(scope="module")
def local(images: str) -> Iterator[Program]:
    """The program with an empty store; all machines are removed at the end, also those half made."""
    with local_program(images) as program:
        yield program
