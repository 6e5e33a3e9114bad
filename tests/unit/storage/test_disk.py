"""Documents, sizes, names and choosing a driver."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.engine.storage.disk import read_document, remove_tree, tree_size, write_document
from pymachine.engine.storage.names import container_name, layer_name
from pymachine.engine.storage.select import open_driver


def test_a_document_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "document"
    assert read_document(path) is None
    write_document(path, {"a": 1})
    assert read_document(path) == {"a": 1}
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["document"]
    for damaged in (b"", b"{", b"[1]", b"\xff"):
        path.write_bytes(damaged)
        assert read_document(path) is None


def test_a_failed_write_leaves_the_old_document(tmp_path: Path) -> None:
    write_document(tmp_path / "document", {"a": 1})
    with pytest.raises(TypeError):
        write_document(tmp_path / "document", {"a": object()})
    assert read_document(tmp_path / "document") == {"a": 1}


def test_sizes_count_each_inode_once_and_follow_no_links(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "a").write_bytes(b"x" * 100)
    os.link(tree / "a", tree / "deep/same")
    (tmp_path / "outside").write_bytes(b"x" * 1000)
    (tree / "link").symlink_to("../outside")
    assert tree_size(tree) == 100
    assert tree_size(tmp_path / "absent") == 0


def test_removal_takes_a_link_not_its_target(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to("target")
    remove_tree(tmp_path / "link")
    remove_tree(tmp_path / "absent")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_names_that_could_leave_the_folder_are_refused() -> None:
    assert layer_name("sha256:" + "a" * 64) == "a" * 64
    assert container_name("c" * 64) == "c" * 64
    for text in ("../x", "sha256:../../etc", "", ".", "..", "a/b", "sha256:" + "A" * 64, "a" * 64 + "\n"):
        with pytest.raises(ValueError, match="not a chain id"):
            layer_name(text)
    for text in ("../x", "", ".", "..", "a/b", ".hidden", "x\n"):
        with pytest.raises(ValueError, match="not a container id"):
            container_name(text)


def test_an_unknown_driver_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="unknown storage driver 'zfs': choose one of overlay2, vfs"):
        open_driver("zfs", tmp_path)
