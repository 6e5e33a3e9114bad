"""The limit of inotify instances is raised when there are many machines, and never lowered."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymachine.drivers.local.inotify import make_room


@pytest.mark.parametrize(
    ("before", "machines", "after"), [(128, 4, 128), (128, 5, 256), (128, 20, 512), (8192, 20, 8192), (128, 100, 2048)]
)
def test_the_limit_follows_the_machines(tmp_path: Path, before: int, machines: int, after: int) -> None:
    limit = tmp_path / "max_user_instances"
    limit.write_text(f"{before}\n")
    make_room(machines, limit=limit)

    assert int(limit.read_text()) == after


@pytest.mark.parametrize("content", ["", "many"])
def test_where_it_cannot_be_known_or_set_nothing_happens(tmp_path: Path, content: str) -> None:
    limit = tmp_path / "max_user_instances"
    make_room(20, limit=limit)
    limit.write_text(content)
    make_room(20, limit=limit)

    assert limit.read_text() == content
