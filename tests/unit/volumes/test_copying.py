"""The first use of an empty volume."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pymachine.engine.volumes.copying import copy_up


@pytest.fixture
def image(tmp_path: Path) -> Path:
    source = tmp_path / "image"
    (source / "sub").mkdir(parents=True)
    source.chmod(0o750)
    (source / "sub" / "file").write_bytes(b"x" * 3_000_000)
    (source / "sub" / "file").chmod(0o640)
    os.utime(source / "sub" / "file", ns=(5, 7))
    (source / "again").hardlink_to(source / "sub" / "file")
    (source / "link").symlink_to("/etc/passwd")
    os.mkfifo(source / "fifo")
    return source


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    path = tmp_path / "volume" / "_data"
    path.mkdir(parents=True)
    return path


def test_content_modes_times_and_links_are_kept(image: Path, volume: Path) -> None:
    assert copy_up(volume, image)
    copied = (volume / "sub" / "file").stat()
    assert (volume / "sub" / "file").read_bytes() == b"x" * 3_000_000
    assert (stat.S_IMODE(copied.st_mode), copied.st_mtime_ns) == (0o640, 7)
    assert (volume / "again").stat().st_ino == copied.st_ino
    assert os.readlink(volume / "link") == "/etc/passwd"
    assert stat.S_ISFIFO((volume / "fifo").stat().st_mode)
    assert stat.S_IMODE(volume.stat().st_mode) == 0o750
    assert not (volume.parent / "copying").exists()


def test_a_volume_with_content_is_left_alone(image: Path, volume: Path) -> None:
    (volume / "mine").touch()
    assert not copy_up(volume, image)
    assert os.listdir(volume) == ["mine"]


def test_a_copy_cut_short_is_begun_again(image: Path, volume: Path) -> None:
    (volume / "half").mkdir()
    (volume.parent / "copying").touch()
    assert copy_up(volume, image)
    assert not (volume / "half").exists()
    assert (volume / "sub").is_dir()


def test_nothing_there_nothing_done(tmp_path: Path, volume: Path) -> None:
    assert not copy_up(volume, tmp_path / "missing")
    (tmp_path / "file").touch()
    assert not copy_up(volume, tmp_path / "file")
    (tmp_path / "link").symlink_to("/etc")
    assert not copy_up(volume, tmp_path / "link")
    assert os.listdir(volume) == []


def test_a_failed_copy_leaves_the_volume_empty(image: Path, volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "sendfile", full)
    with pytest.raises(OSError, match="No space"):
        copy_up(volume, image)
    assert os.listdir(volume) == []
