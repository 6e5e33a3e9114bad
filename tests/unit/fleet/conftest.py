"""A store, and the fake driver registered."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymachine.store.file import FileStore
from support import fakedriver
from support.fakedriver import World
from support.nohost import Sent, without_host


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """An empty world, and the fake driver registered."""
    return fakedriver.register(monkeypatch)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """An empty store."""
    return FileStore(tmp_path / "store")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Sent]:
    """No host: what would be provisioned is kept, and the engine answers at once."""
    return without_host(monkeypatch)


@pytest.fixture(autouse=True)
def no_contexts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docker's configuration of whoever runs the tests is nobody's business."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.delenv("MACHINE_DOCKER_CONTEXT", raising=False)
