"""A store, and the fake driver registered."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymachine.machine.errors import DriverError
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
def failure() -> DriverError:
    """Some failure of a driver."""
    return DriverError("the host has caught fire")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Sent]:
    """No host: what would be provisioned is kept, and the engine answers at once."""
    return without_host(monkeypatch)
