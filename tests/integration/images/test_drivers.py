"""The graph drivers on the real kernel: layers, containers, mounts, and what a crash leaves."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pymachine.dockerapi.errors import EngineError
from pymachine.engine.images.chains import digest_of
from pymachine.engine.storage import mounts
from pymachine.engine.storage.base import GraphDriver
from pymachine.engine.storage.overlay2 import Overlay2Driver
from pymachine.engine.storage.select import open_driver
from pymachine.engine.storage.vfs import VfsDriver

pytestmark = pytest.mark.root

A, B, C = (digest_of(name) for name in (b"a", b"b", b"c"))
DRIVERS = pytest.mark.parametrize("kind", [Overlay2Driver, VfsDriver])


def _layer(driver: GraphDriver, chain: str, parent: str | None, **files: str) -> None:
    with driver.new_layer(chain, parent) as folder:
        for name, text in files.items():
            (folder / name).write_text(text)


def _names(driver: GraphDriver, container: str) -> dict[str, str]:
    with driver.mounted(container) as root:
        return {path.name: path.read_text() for path in sorted(root.iterdir())}


@DRIVERS
def test_containers_see_all_layers_and_keep_their_own_changes(
    tmp_path: Path, kind: Callable[[Path], GraphDriver]
) -> None:
    driver = kind(tmp_path / "graph")
    _layer(driver, A, None, one="1", both="old")
    _layer(driver, B, A, two="2", both="new")
    rootfs = driver.create_container("c1", B)
    driver.create_container("c2", B)
    with driver.mounted("c1") as root:
        (root / "mine").write_text("x" * 10)
        (root / "one").unlink()
    assert _names(driver, "c1") == {"both": "new", "mine": "x" * 10, "two": "2"}
    assert _names(driver, "c2") == {"both": "new", "one": "1", "two": "2"}
    assert driver.usage("c1") == 10
    assert driver.usage("c2") == 0
    with pytest.raises(FileExistsError):
        driver.create_container("c1", B)
    again = kind(tmp_path / "graph")
    assert again.container_rootfs("c1") == rootfs
    assert _names(again, "c1")["mine"] == "x" * 10
    assert mounts.mounts_below(tmp_path) == []
    again.remove_container("c1")
    again.remove_container("c1")
    with pytest.raises(KeyError):
        again.container_rootfs("c1")


@DRIVERS
def test_layers_in_use_stay_and_others_go(tmp_path: Path, kind: Callable[[Path], GraphDriver]) -> None:
    driver = kind(tmp_path / "graph")
    _layer(driver, A, None, one="1")
    _layer(driver, B, A, two="2")
    driver.create_container("c", B)
    for chain in (A, B, C):
        driver.remove_layer(chain)
    assert sorted(driver.layers()) == sorted([A, B])
    driver.remove_container("c")
    driver.remove_layer(A)
    assert driver.has_layer(A)
    driver.remove_layer(B)
    driver.remove_layer(A)
    assert list(driver.layers()) == []
    with pytest.raises(KeyError):
        driver.create_container("d", A)


@DRIVERS
def test_a_failed_or_interrupted_layer_never_shows(tmp_path: Path, kind: Callable[[Path], GraphDriver]) -> None:
    driver = kind(tmp_path / "graph")

    def fail() -> None:
        with driver.new_layer(A, None) as folder:
            (folder / "x").write_text("x")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert not driver.has_layer(A)
    abandoned = driver.new_layer(A, None)
    folder = abandoned.__enter__()  # and the daemon is killed
    (folder / "x").write_text("x")
    again = kind(tmp_path / "graph")
    assert not again.has_layer(A)
    assert not folder.exists()
    assert list((tmp_path / "graph" / "tmp").iterdir()) == []
    _layer(again, A, None, x="whole")
    again.create_container("c", A)
    assert _names(again, "c") == {"x": "whole"}


@DRIVERS
def test_of_two_makers_of_one_layer_the_first_wins_quietly(tmp_path: Path, kind: Callable[[Path], GraphDriver]) -> None:
    driver = kind(tmp_path / "graph")
    with driver.new_layer(A, None) as slow:
        _layer(driver, A, None, x="fast")
        (slow / "x").write_text("slow")
    driver.create_container("c", A)
    assert _names(driver, "c") == {"x": "fast"}
    assert not slow.exists()


@DRIVERS
def test_many_threads_make_containers_at_once(tmp_path: Path, kind: Callable[[Path], GraphDriver]) -> None:
    driver = kind(tmp_path / "graph")
    _layer(driver, A, None, x="x")
    threads = [threading.Thread(target=driver.create_container, args=(f"c{n}", A)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(_names(driver, f"c{n}") == {"x": "x"} for n in range(20))


def test_overlay_sweeps_mounts_and_links_that_a_crash_left(tmp_path: Path) -> None:
    driver = Overlay2Driver(tmp_path / "graph")
    _layer(driver, A, None, x="x")
    driver.create_container("c", A)
    left = driver.mounted("c")
    left.__enter__()
    (tmp_path / "graph/l/LOST").symlink_to("../layers/none/diff")
    assert len(mounts.mounts_below(tmp_path)) == 2
    again = Overlay2Driver(tmp_path / "graph")
    assert mounts.mounts_below(tmp_path) == []
    assert len(os.listdir(tmp_path / "graph/l")) == 1
    assert _names(again, "c") == {"x": "x"}


def test_a_mount_ends_with_its_block_whatever_happens(tmp_path: Path) -> None:
    driver = Overlay2Driver(tmp_path / "graph")
    driver.create_container("c", None)

    def fail() -> None:
        with driver.mounted("c") as root:
            (root / "x").write_text("x")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert mounts.mounts_below(tmp_path) == []
    assert list((tmp_path / "graph/mnt").iterdir()) == []
    before = os.getcwd()
    assert _names(driver, "c") == {"x": "x"}
    assert os.getcwd() == before


def test_three_hundred_layers_fit_one_mount(tmp_path: Path) -> None:
    driver = Overlay2Driver(tmp_path / ("a-long-name-for-the-folder-of-layers" * 3))
    parent = None
    for number in range(300):
        chain = digest_of(str(number).encode())
        _layer(driver, chain, parent, **{f"f{number}": str(number)})
        parent = chain
    driver.create_container("c", parent)
    assert len(_names(driver, "c")) == 300


def test_where_overlay_cannot_work_vfs_takes_over_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An upper directory cannot lie on an overlay (kernel documentation, overlayfs.rst)."""
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    mounts.mount_overlay(tmp_path, "merged", ["lower"], "upper", "work")
    try:
        mounts.mount("tmpfs", str(tmp_path / "lower"), "tmpfs")
        root = tmp_path / "merged" / "data"
        driver = open_driver("", root)
        if driver.name == "overlay2":
            pytest.skip("this kernel stacks overlays")
        assert "falling back to the slow vfs storage driver" in caplog.text
        with pytest.raises(EngineError, match="overlay2 does not work on"):
            open_driver("overlay2", root)
    finally:
        mounts.unmount(str(tmp_path / "lower"))
        mounts.unmount(str(tmp_path / "merged"))
    assert open_driver("", tmp_path / "plain").name == "overlay2"
