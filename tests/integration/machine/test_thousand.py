"""``ls`` of a thousand machines: all rows come, and nobody waits for those that never answer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pymachine.store.file import FileStore
from support.fleet import REFUSED, black_holes, engines, make_fleet, set_urls
from support.program import Program

NUMBER = 1000
TIMEOUT = 2.0


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FileStore:
    return make_fleet(tmp_path_factory.mktemp("thousand") / "store", [REFUSED] * NUMBER)


@pytest.fixture
def restored(store: FileStore) -> Iterator[FileStore]:
    """The store; its first machines' URLs are put back."""
    yield store
    set_urls(store, [REFUSED] * 20)


def rows(store: FileStore) -> tuple[dict[str, dict[str, Any]], float]:
    """All rows by name, and how long it took."""
    start = time.monotonic()
    found = json.loads(Program(store.root).ok("ls", "-t", str(TIMEOUT), "--format", "json"))
    return {row["Name"]: row for row in found}, time.monotonic() - start


def test_ten_answer_and_ten_are_black_holes(restored: FileStore) -> None:
    _, usual = rows(restored)
    with engines(restored, 10) as answering, black_holes(10) as silent:
        set_urls(restored, [*answering, *silent])
        found, seconds = rows(restored)

    assert list(found) == [f"m{number}" for number in range(NUMBER)]
    assert {found[f"m{number}"]["DockerVersion"] for number in range(10)} == {"v1.2.3"}
    assert {found[f"m{number}"]["Error"] for number in range(10, 20)} == {"the engine does not answer within 2 s"}
    assert all("Connection refused" in found[f"m{number}"]["Error"] for number in range(20, NUMBER))
    assert max(found[f"m{number}"]["ResponseTime"] for number in range(20, NUMBER)) < TIMEOUT
    assert seconds < TIMEOUT + 3 * usual + 1


def test_when_nobody_answers_all_rows_come_all_the_same(tmp_path: Path) -> None:
    with black_holes(2) as silent:
        store = make_fleet(tmp_path / "store", [silent[1]] * 300)
        found, _ = rows(store)

    assert len(found) == 300
    assert {row["State"] for row in found.values()} == {"Running"}
    assert {row["Error"] for row in found.values()} == {"the engine does not answer within 2 s"}


def test_names_need_no_answers(store: FileStore) -> None:
    assert len(Program(store.root).ok("ls", "-q").splitlines()) == NUMBER
    assert Program(store.root).ok("ls", "-q", "--filter", "name=^m99.$").split() == [f"m99{n}" for n in range(10)]
