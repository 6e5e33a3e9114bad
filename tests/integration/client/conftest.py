"""Two real local machines, in a store and a root of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.localprogram import image_root, local_program
from support.program import Program


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program with machines ``one`` and ``two``; docker's configuration is the test's own."""
    docker = tmp_path_factory.mktemp("docker")
    with local_program(image_root()) as made:
        program = Program(made.store, {**made.env, "DOCKER_CONFIG": str(docker)})
        program.ok("create", "--engine-env", "HTTP_PROXY=http://me:pa55word@proxy.example:3128", "one")
        program.ok("create", "two")
        yield program


@pytest.fixture
def docker_config(pair: Program) -> Path:
    """Docker's configuration directory."""
    return Path(pair.env["DOCKER_CONFIG"])
