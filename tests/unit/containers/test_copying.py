"""Archives in and out of a root that is not trusted."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.engine.containers import changes, copying, inroot
from pymachine.engine.containers.tarin import TreeReader
from pymachine.engine.containers.tarout import TreeWriter
from pymachine.engine.runtime.spec import Rootfs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    made.mkdir()
    (tmp_path / "secret").write_text("the host's")
    return made


def archive(*entries: tuple[str, bytes | str | None], kind: bytes | None = None) -> io.BytesIO:
    """Names with content, with a link's target, or (None) directories."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.uid, info.gid, info.mtime = os.getuid(), os.getgid(), 1000
            if isinstance(content, str):
                info.type, info.linkname = kind or tarfile.SYMTYPE, content
            elif content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    data.seek(0)
    return data


def unpack(root: Path, source: io.BytesIO, folder: str = "/", *, keep_kinds: bool = False) -> None:
    with inroot.top(root) as descriptor:
        TreeReader(descriptor, folder, keep_owners=True, keep_kinds=keep_kinds).unpack(source)


def test_a_tree_comes_back_as_it_went(root: Path) -> None:
    unpack(root, archive(("d", None), ("d/f", b"x"), ("d/l", "f")))
    os.link(root / "d" / "f", root / "d" / "hard")
    os.chmod(root / "d" / "f", 0o4711)
    out = io.BytesIO()
    with inroot.top(root) as descriptor:
        writer = TreeWriter(out)
        writer.add(descriptor, "d", "d")
        writer.close()
    out.seek(0)
    unpack(root, out, "/")
    assert (root / "d" / "l").readlink() == Path("f")
    assert (root / "d" / "f").stat().st_mode & 0o7777 == 0o4711
    assert (root / "d" / "f").stat().st_ino == (root / "d" / "hard").stat().st_ino
    assert (root / "d" / "f").stat().st_mtime == 1000


@pytest.mark.parametrize("name", ["../out", "/../../out", "a/../../out", "./../out"])
def test_dots_stay_inside(root: Path, name: str) -> None:
    unpack(root, archive((name, b"x")))
    assert not (root.parent / "out").exists()
    assert (root / "out").read_text() == "x"


def test_links_of_the_archive_lead_nowhere(root: Path) -> None:
    outside = str(root.parent)
    with pytest.raises(InvalidArgument):
        unpack(root, archive(("l", outside), ("l/out", b"x")))
    (root / "up").symlink_to("../../../..")
    unpack(root, archive(("up/deep/f", b"x")))
    assert (root / "deep" / "f").read_text() == "x"
    assert not (root.parent / "out").exists()
    with pytest.raises(InvalidArgument):
        unpack(root, archive(("h", f"{outside}/secret"), kind=tarfile.LNKTYPE))


def test_an_entry_replaces_a_link_and_does_not_follow_it(root: Path) -> None:
    (root / "l").symlink_to(root.parent / "secret")
    unpack(root, archive(("l", b"new")))
    assert (root.parent / "secret").read_text() == "the host's"
    assert (root / "l").read_text() == "new"


def test_kinds_are_kept_when_asked(root: Path) -> None:
    (root / "d").mkdir()
    (root / "f").write_text("x")
    for name, content in (("d", b"x"), ("f", None)):
        with pytest.raises(InvalidArgument, match="cannot overwrite"):
            unpack(root, archive((name, content)), keep_kinds=True)
        unpack(root, archive((name, content)))
    assert (root / "d").is_file()
    assert (root / "f").is_dir()


@pytest.mark.parametrize("data", [b"nonsense" * 100, archive(("f", b"x" * 5000)).getvalue()[:2000]])
def test_damaged_archives(root: Path, data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        unpack(root, io.BytesIO(data))


def test_paths_resolve_inside_the_root(root: Path) -> None:
    (root / "l").symlink_to(root.parent / "secret")
    with inroot.top(root) as descriptor, pytest.raises(FileNotFoundError):
        inroot.open_below(descriptor, "/l", os.O_RDONLY)
    (root / "secret").write_text("own")
    (root / "m").symlink_to("/../../secret")
    with inroot.top(root) as descriptor, inroot.opened(descriptor, "m", os.O_RDONLY) as found:
        assert os.read(found, 10) == b"own"


@pytest.mark.parametrize(("path", "clean"), [("a", "/a"), ("/a/../b/", "/b"), ("/..", "/"), ("//a", "/a")])
def test_clean_paths(path: str, clean: str) -> None:
    assert copying.clean(path) == clean


@pytest.mark.parametrize("path", ["", "/a\0"])
def test_refused_paths(path: str) -> None:
    with pytest.raises(InvalidArgument):
        copying.clean(path)


def test_changes(tmp_path: Path) -> None:
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    (upper / "etc").mkdir(parents=True)
    (lower / "etc").mkdir(parents=True)
    (upper / "etc" / "new").write_text("")
    rootfs = Rootfs("overlay", lower=(str(lower),), upper=str(upper))
    assert changes.of(rootfs) == [{"Path": "/etc", "Kind": 0}, {"Path": "/etc/new", "Kind": 1}]
