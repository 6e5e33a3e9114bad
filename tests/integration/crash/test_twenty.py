"""Twenty processes create machines at once in an empty store: one CA, twenty good machines."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from support.certificates import check_store
from support.localprogram import image_root, left_of, local_program
from support.program import Program

pytestmark = [pytest.mark.root, pytest.mark.slow]

ALL, LOCAL = 20, 14
"""Machines in all, and real hosts among them: more than the kernel has room for by default."""


@pytest.fixture
def program() -> Iterator[Program]:
    with local_program(image_root()) as program:
        yield program


def test_twenty_processes_at_once(program: Program) -> None:
    names = [f"m{number}" for number in range(ALL)]
    url = ("-d", "none", "--url", "tcp://127.0.0.1:1")
    processes = [program.start("create", *(() if i < LOCAL else url), name) for i, name in enumerate(names)]
    results = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0] * ALL, results

    check_store(program.store, *names)
    assert sum("Creating CA" in output for output, _ in results) == 1
    rows = {row["Name"]: row for row in json.loads(program.ok("ls", "--format", "json", "-t", "30"))}
    assert sorted(rows) == sorted(names)
    assert {row["State"] for row in rows.values()} == {"Running"}
    hosts = [rows[name] for name in names[:LOCAL]]
    assert [row["Error"] for row in hosts] == [""] * LOCAL
    assert all(row["DockerVersion"].startswith("v") for row in hosts)
    assert len({row["URL"] for row in hosts}) == LOCAL
    program.ok("rm", "-y", *names)
    assert left_of(program) == []
    assert list((program.store / "machines").iterdir()) == []
