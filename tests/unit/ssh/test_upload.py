"""Uploads: the shell command is run here as a host would run it."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

from pymachine.machine.ssh.upload import Source, upload_command


def upload(data: bytes, path: str, mode: int = 0o644, *, size: int | None = None, cwd: Path | None = None) -> int:
    command = upload_command(path, mode, len(data) if size is None else size)
    return subprocess.run(["/bin/sh", "-c", command], input=data, cwd=cwd, stderr=subprocess.DEVNULL).returncode


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o400])
def test_a_file_arrives_with_its_mode(tmp_path: Path, mode: int) -> None:
    assert upload(b"data\0\xff", f"{tmp_path}/file", mode) == 0

    assert (tmp_path / "file").read_bytes() == b"data\0\xff"
    assert (tmp_path / "file").stat().st_mode & 0o7777 == mode
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["a b", "it's", '"$(touch x)"', "-n", "ü", "`id`", "a;b", "*"])
def test_no_name_is_taken_for_shell(tmp_path: Path, name: str) -> None:
    assert upload(b"x", f"{tmp_path}/{name}") == 0
    assert upload(b"y", name, cwd=tmp_path) == 0

    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == b"y"


@pytest.mark.parametrize("size", [3, 5])
def test_what_is_cut_short_or_too_long_changes_nothing(tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_text("old")

    assert upload(b"1234", f"{tmp_path}/file", size=size) != 0
    assert (tmp_path / "file").read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    assert upload(b"", f"{tmp_path}/file") == 0
    assert (tmp_path / "file").read_bytes() == b""


def test_a_missing_directory_or_one_in_the_files_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()

    assert upload(b"x", f"{tmp_path}/none/file") != 0
    assert upload(b"x", f"{tmp_path}/dir") != 0
    assert os.listdir(tmp_path) == ["dir"]
    assert os.listdir(tmp_path / "dir") == []


def test_a_file_is_sent_from_where_it_stands() -> None:
    file = io.BytesIO(b"0123456789")
    file.seek(4)
    with Source.of(file) as source:
        assert source.size == 6
        assert b"".join(source.chunks()) == b"456789"


def test_a_pipe_is_counted_first() -> None:
    read, write = os.pipe()
    with open(read, "rb") as reading:
        with open(write, "wb") as writing:
            writing.write(b"abc")
        with Source.of(reading) as source:
            assert source.size == 3
            assert b"".join(source.chunks()) == b"abc"
