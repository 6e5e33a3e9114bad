"""Volumes: named, used, listed, removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymachine.dockerapi.errors import Conflict, InvalidArgument, NotFound
from pymachine.engine.events import EventBus
from pymachine.engine.volumes.service import VolumeService


@pytest.fixture
def service(tmp_path: Path) -> VolumeService:
    return VolumeService(tmp_path / "volumes", EventBus())


def test_a_volume_is_made_once_and_found_after_a_restart(service: VolumeService, tmp_path: Path) -> None:
    path = service.ensure("data", labels={"a": "b"})
    (path / "file").write_text("kept")
    assert service.ensure("data") == path
    again = VolumeService(tmp_path / "volumes", EventBus())
    assert again.get("data").labels == {"a": "b"}
    assert (again.path("data") / "file").read_text() == "kept"


@pytest.mark.parametrize("name", ["a", "../x", "a/b", ".hidden", "-x", "a b", "x\n", "n" * 256])
def test_bad_names_are_refused(service: VolumeService, name: str) -> None:
    with pytest.raises(InvalidArgument):
        service.ensure(name)


def test_a_used_volume_stays(service: VolumeService) -> None:
    service.ensure("data")
    service.use("data", "c1")
    with pytest.raises(Conflict, match=r"remove data: volume is in use - \[c1\]"):
        service.remove("data", force=True)
    service.unuse("data", "c1")
    service.unuse("data", "c1")
    service.remove("data")
    with pytest.raises(NotFound, match="get data: no such volume"):
        service.get("data")


def test_removing_what_is_not_there(service: VolumeService) -> None:
    with pytest.raises(NotFound):
        service.remove("data")
    service.remove("data", force=True)


def test_removal_takes_the_data_and_follows_no_link(service: VolumeService, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    path = service.ensure("data")
    (path / "link").symlink_to(outside)
    service.remove("data")
    assert not path.exists()
    assert (outside / "precious").exists()


def test_a_removal_cut_short_is_finished_at_the_next_start(service: VolumeService, tmp_path: Path) -> None:
    service.ensure("data")
    (tmp_path / "volumes" / "data").rename(tmp_path / "volumes" / ".removing-1")
    again = VolumeService(tmp_path / "volumes", EventBus())
    assert again.all() == []
    assert list((tmp_path / "volumes").iterdir()) == []


def test_a_damaged_record_hides_no_other(service: VolumeService, tmp_path: Path) -> None:
    service.ensure("good")
    service.ensure("bad")
    (tmp_path / "volumes" / "bad" / "volume.json").write_text("{")
    assert [record.name for record in VolumeService(tmp_path / "volumes", EventBus()).all()] == ["good"]


def test_nobody_names_an_anonymous_volume(service: VolumeService) -> None:
    record = service.create("", labels={}, options={})
    assert len(record.name) == 64
    assert service.is_anonymous(record.name)
    service.ensure("x" * 64, anonymous=True)
    assert service.is_anonymous("x" * 64)
    assert not service.is_anonymous("nothing")


def test_prune_takes_what_is_unused_and_wanted(service: VolumeService) -> None:
    for name in ("one", "two", "three"):
        (service.ensure(name) / "file").write_bytes(b"x" * 10)
    service.use("two", "c")
    removed, freed = service.prune(lambda record: record.name != "three")
    assert (removed, freed) == (["one"], 10)
    assert {record.name for record in service.all()} == {"two", "three"}


@pytest.mark.parametrize(
    "options",
    [{"colour": "red"}, {"type": "tmpfs"}, {"device": "/x"}, {"type": "tmpfs", "device": "tmpfs", "size": "1m"}],
)
def test_options_that_mean_nothing_are_refused(service: VolumeService, options: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument):
        service.create("data", labels={}, options=options)
    assert service.all() == []


def test_the_same_name_with_other_options_is_a_conflict(service: VolumeService) -> None:
    service.ensure("data")
    with pytest.raises(Conflict):
        service.create("data", labels={}, options={"type": "tmpfs", "device": "tmpfs"})


def test_hard_links_count_once(service: VolumeService) -> None:
    path = service.ensure("data")
    (path / "a").write_bytes(b"x" * 100)
    (path / "b").hardlink_to(path / "a")
    assert service.size("data") == 100


def test_events_tell_of_creation_and_removal(tmp_path: Path) -> None:
    bus = EventBus()
    service = VolumeService(tmp_path, bus)
    service.ensure("data")
    service.remove("data")
    assert [(event["Type"], event["Action"], event["Actor"]["ID"]) for event in bus.kept()] == [
        ("volume", "create", "data"),
        ("volume", "destroy", "data"),
    ]


def test_what_a_killed_creation_left_is_gone_after_a_restart(service: VolumeService, tmp_path: Path) -> None:
    """But not what has data in it, though nobody knows whose it is."""
    for name, files in (("begun", ()), ("nearly", ("volume.json.tmp",)), ("lost", ("_data/file",))):
        (tmp_path / "volumes" / name / "_data").mkdir(parents=True)
        for file in files:
            (tmp_path / "volumes" / name / file).touch()
    assert VolumeService(tmp_path / "volumes", EventBus()).all() == []
    assert [folder.name for folder in (tmp_path / "volumes").iterdir()] == ["lost"]
