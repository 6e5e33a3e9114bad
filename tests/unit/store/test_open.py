"""Which directory is the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymachine.store.file import FileStore
from pymachine.store.open import open_store


@pytest.mark.parametrize(
    ("option", "variable", "expected"),
    [
        ("/given", "/variable", "/given"),
        (None, "/variable", "/variable"),
        ("", "/variable", "/variable"),
        (None, None, "/home/me/.pymachine"),
        (None, "", "/home/me/.pymachine"),
        ("~/x", None, "/home/me/x"),
        ("~", None, "/home/me"),
        ("/a/../b/", None, "/b"),
    ],
)
def test_the_flag_wins_then_the_variable_then_home(option: str | None, variable: str | None, expected: str) -> None:
    env = {"HOME": "/home/me"} | ({} if variable is None else {"MACHINE_STORAGE_PATH": variable})
    store = open_store(option, env)

    assert isinstance(store, FileStore)
    assert store.root == Path(expected)


def test_a_relative_path_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("here", {})
    monkeypatch.chdir("/")

    assert isinstance(store, FileStore)
    assert store.root == tmp_path / "here"
