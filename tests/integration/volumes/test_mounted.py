"""Volumes of the local driver that are mounts: tmpfs and bind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.dockerapi.errors import EngineError
from pymachine.engine.events import EventBus
from pymachine.engine.volumes.service import VolumeService

pytestmark = pytest.mark.root


@pytest.fixture
def service(tmp_path: Path) -> Iterator[VolumeService]:
    made = VolumeService(tmp_path / "volumes", EventBus())
    yield made
    for record in made.all():
        for user in ("one", "two"):
            made.unuse(record.name, user)


def test_a_tmpfs_is_mounted_from_the_first_user_to_the_last(service: VolumeService) -> None:
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=1000,nosuid"}
    service.create("data", labels={}, options=options)
    path = service.path("data")
    service.use("data", "one")
    service.use("data", "two")
    assert os.path.ismount(path)
    assert path.stat().st_uid == 1000
    assert os.statvfs(path).f_blocks * os.statvfs(path).f_frsize == 2**20
    service.unuse("data", "one")
    assert os.path.ismount(path)
    service.unuse("data", "two")
    assert not os.path.ismount(path)


def test_a_read_only_bind_shows_a_directory_and_removal_spares_it(service: VolumeService, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("precious")
    service.create("data", labels={}, options={"type": "none", "device": str(source), "o": "bind,ro"})
    service.use("data", "one")
    assert (service.path("data") / "file").read_text() == "precious"
    with pytest.raises(OSError, match="Read-only"):
        (service.path("data") / "new").touch()
    service.unuse("data", "one")
    service.remove("data")
    assert (source / "file").read_text() == "precious"


def test_removal_unmounts_what_a_killed_daemon_left_mounted(service: VolumeService, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("precious")
    service.create("data", labels={}, options={"device": str(source), "o": "bind"})
    service.use("data", "one")
    VolumeService(tmp_path / "volumes", EventBus()).remove("data")
    assert (source / "file").read_text() == "precious"


def test_what_cannot_be_mounted_says_why(service: VolumeService, tmp_path: Path) -> None:
    service.create("gone", labels={}, options={"type": "none", "device": str(tmp_path / "gone"), "o": "bind"})
    with pytest.raises(EngineError, match="no such directory"):
        service.use("gone", "one")
    service.create("odd", labels={}, options={"type": "nosuchfs", "device": "x"})
    with pytest.raises(EngineError, match="no such device"):
        service.use("odd", "one")
    service.remove("odd")
