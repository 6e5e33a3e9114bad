"""Unpacking hostile and odd archives: nothing leaves the root, and the same tar can be made again.

No root needed: entries belong to whoever runs the tests.
"""

from __future__ import annotations

import io
import itertools
import os
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.engine.images.archive.recipe import RecipeWriter, replay
from pymachine.engine.images.archive.unpack import Limits, unpack
from pymachine.engine.images.errors import BadArchive, UnsafeArchive

Entry = tuple[str, bytes, str, bytes]
"""Name, type, link target, contents."""


def _tar(entries: list[Entry], format: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for name, kind, target, data in entries:
            info = tarfile.TarInfo()
            info.name, info.type, info.linkname = name, kind, target
            info.size, info.mode, info.mtime = len(data), 0o755 if kind == tarfile.DIRTYPE else 0o644, 1_600_000_000
            info.uid, info.gid = os.getuid(), os.getgid()
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _file(name: str, data: bytes = b"data") -> Entry:
    return (name, tarfile.REGTYPE, "", data)


def _link(name: str, target: str) -> Entry:
    return (name, tarfile.SYMTYPE, target, b"")


def _hard(name: str, target: str) -> Entry:
    return (name, tarfile.LNKTYPE, target, b"")


def _folder(name: str) -> Entry:
    return (name, tarfile.DIRTYPE, "", b"")


def _pieces(data: bytes, size: int = 700) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


class Place:
    """A root with a treasure outside that no archive may touch."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "outer" / "root"
        self.recipe = folder / "recipe"
        self.root.mkdir(parents=True)
        self.recipe.mkdir()
        self.treasure = folder / "outer" / "treasure"
        self.treasure.write_bytes(b"gold")
        self._outside = self._look()

    def unpack(self, data: bytes, **options: object) -> None:
        writer = RecipeWriter(self.recipe)
        try:
            unpack(_pieces(data), self.root, recipe=writer, **options)  # type: ignore[arg-type]
            writer.close()
        finally:
            writer.abandon()

    def again(self) -> bytes:
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            return b"".join(replay(self.recipe, descriptor))
        finally:
            os.close(descriptor)

    def check_outside(self) -> None:
        assert self.treasure.read_bytes() == b"gold"
        assert self._look() == self._outside

    def _look(self) -> object:
        status = self.treasure.stat()
        return sorted(path.name for path in self.treasure.parent.iterdir()), status.st_nlink, status.st_mode


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.check_outside()


@pytest.mark.parametrize(
    "entries",
    [
        [_file("../treasure")],
        [_file("a/../../treasure")],
        [_file("../../../../../../../../../../tmp/escaped-by-dots")],
        [_hard("x", "../treasure")],
        [_hard("x", "../outer/treasure")],
        [_folder("..")],
        [_file(".")],
        [_link("./", "/")],
        [_file("a/.wh..")],
        [_file(".wh.")],
        [_file(".wh...")],
        [_hard("x", ".")],
    ],
)
def test_names_that_leave_the_root_are_refused(place: Place, entries: list[Entry]) -> None:
    with pytest.raises(UnsafeArchive):
        place.unpack(_tar(entries))


def test_absolute_names_mean_the_root(place: Place) -> None:
    place.unpack(_tar([_file("/etc/passwd"), _file("//x"), _hard("/y", "/x")]))
    assert (place.root / "etc/passwd").read_bytes() == b"data"
    assert (place.root / "x").stat().st_nlink == 2


@pytest.mark.parametrize(
    "target", ["../..", "..", "/", "/..", "../../..", "x/../../..", "../treasure", "/proc/self/cwd", "./../root/../.."]
)
def test_links_on_the_way_end_inside(place: Place, target: str) -> None:
    place.unpack(_tar([_link("way", target), _file("way/new/file")]), keep_whiteouts=True)
    found = [path for path in place.root.rglob("file") if not path.is_symlink()]
    assert len(found) == 1


@pytest.mark.parametrize("target", ["../treasure", "/treasure", "../../outer/treasure"])
def test_a_link_as_the_last_part_is_replaced_not_followed(place: Place, target: str) -> None:
    place.unpack(_tar([_link("x", target), _file("x", b"mine")]))
    assert not (place.root / "x").is_symlink()
    assert (place.root / "x").read_bytes() == b"mine"


def test_a_hard_link_to_a_link_does_not_open_a_way_out(place: Place) -> None:
    place.unpack(_tar([_link("x", "../treasure"), _hard("y", "x"), _file("y", b"mine")]))
    assert (place.root / "y").read_bytes() == b"mine"


def test_hard_links_to_what_is_not_there_or_no_file_are_refused(place: Place) -> None:
    for entries in ([_hard("a", "b")], [_folder("d"), _hard("a", "d")], [_link("l", ".."), _hard("a", "l/treasure")]):
        (place.recipe / "recipe").unlink(missing_ok=True)
        with pytest.raises(BadArchive):
            place.unpack(_tar(entries))


def test_endless_links_are_refused(place: Place) -> None:
    with pytest.raises(BadArchive, match="too many levels"):
        place.unpack(_tar([_link("a", "b"), _link("b", "a"), _file("a/x")]))


def test_an_entry_below_a_file_is_refused(place: Place) -> None:
    with pytest.raises(BadArchive, match="not a directory"):
        place.unpack(_tar([_file("a"), _file("a/b")]))


def test_no_combination_of_links_and_dots_reaches_outside(place: Place) -> None:
    """Property: whatever a few entries out of hostile names do, the outside stays as it is."""
    names = ["a", "a/b", "a/treasure", "a/b/treasure", "b", "b/a", "../treasure", "a/../../treasure", "./a/.", "/a/"]
    targets = ["..", "/", "a", "b", "../..", "/../treasure", "../treasure", "a/..", "b/../..", "/a/b/../../.."]
    chance = random.Random(7)
    makers = [_file, _folder]
    for number in range(400):
        entries: list[Entry] = []
        for _ in range(chance.randint(2, 6)):
            name = chance.choice(names)
            kind = chance.randrange(4)
            entries.append(makers[kind](name) if kind < 2 else (_link, _hard)[kind - 2](name, chance.choice(targets)))
        inner = Place(place.root / str(number))
        try:
            inner.unpack(_tar(entries))
            assert inner.again() == _tar(entries)
        except BadArchive:
            pass
        inner.check_outside()


def test_damage_anywhere_is_an_error_or_harmless(place: Place) -> None:
    """Property: an archive with any byte changed, or cut anywhere, never fails with anything but BadArchive."""
    data = _tar([_folder("d"), _file("d/" + "n" * 120, b"x" * 600), _link("l", "d"), _hard("h", "d/" + "n" * 120)])
    chance = random.Random(3)
    for number in range(600):
        damaged = bytearray(data)
        if number % 3:
            damaged[chance.randrange(len(data))] = chance.randrange(256)
        else:
            del damaged[chance.randrange(len(data)) :]
        inner = Place(place.root / str(number))
        try:
            inner.unpack(bytes(damaged))
        except (BadArchive, PermissionError):  # owners that only root may give
            pass
        inner.check_outside()


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_and_odd_bytes_survive(place: Place, format: int) -> None:
    name = "/".join(["d" * 90] * 6) + "/é\udcff\n"
    data = _tar([_file(name), _link("l" * 200, "t" * 300)], format)
    place.unpack(data)
    assert (place.root / name).read_bytes() == b"data"
    assert os.readlink(place.root / ("l" * 200)) == "t" * 300
    assert place.again() == data


def test_names_beyond_the_file_systems_limit_are_refused(place: Place) -> None:
    for name in ("n" * 300, "n" * 300 + "/x"):
        (place.recipe / "recipe").unlink(missing_ok=True)
        with pytest.raises(BadArchive, match="too long"):
            place.unpack(_tar([_file(name)]))


def test_an_archive_that_replaces_its_own_files_can_be_made_again(place: Place) -> None:
    entries = [
        _file("a", b"first"),
        _hard("keeps", "a"),
        _file("a", b"second"),
        _folder("d"),
        _file("d/x", b"deep"),
        _file("d/e/y", b"deeper"),
        _file("d", b"now a file"),
        _link("a", "d"),
    ]
    data = _tar(entries) + b"\0" * 3000
    place.unpack(data)
    assert (place.root / "keeps").read_bytes() == b"first"
    assert (place.root / "d").read_bytes() == b"now a file"
    assert place.again() == data


def test_times_and_modes_are_the_archives(place: Place) -> None:
    place.unpack(_tar([_folder("d"), _file("d/x"), _folder("d/e")]))
    assert (place.root / "d").stat().st_mtime == 1_600_000_000
    assert (place.root / "d/x").stat().st_mtime == 1_600_000_000
    assert (place.root / "d/x").stat().st_mode & 0o7777 == 0o644


def test_limits_hold(place: Place) -> None:
    for limits, entries in (
        (Limits(entries=2), [_file("a"), _file("b"), _file("c")]),
        (Limits(total_size=10), [_file("a", b"x" * 6), _file("b", b"x" * 6)]),
        (Limits(file_size=10), [_file("a", b"x" * 11)]),
    ):
        (place.recipe / "recipe").unlink(missing_ok=True)
        with pytest.raises(BadArchive):
            place.unpack(_tar(entries), limits=limits)


def test_a_header_that_claims_gigabytes_is_refused_before_it_is_read(place: Place) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 32
    endless = itertools.chain([info.tobuf()], itertools.repeat(b"\0" * 65536))
    with pytest.raises(BadArchive, match="header of more than"):
        unpack(endless, place.root)


def test_sparse_files_keep_their_holes(place: Place, tmp_path: Path) -> None:
    """GNU tar's sparse formats, as GNU tar writes them."""
    import shutil
    import subprocess

    if shutil.which("tar") is None:
        pytest.skip("GNU tar is not installed")
    source = tmp_path / "source"
    source.mkdir()
    with open(source / "holes", "wb") as file:
        file.write(b"start")
        file.seek(8 << 20)
        file.write(b"middle")
        file.truncate(16 << 20)
    for number, form in enumerate(
        (["--format=gnu"], *(["--format=pax", f"--sparse-version={v}"] for v in ("0.1", "1.0")))
    ):
        command = ["tar", "-C", str(source), *form, "--sparse", "-cf", "-", "holes"]
        data = subprocess.run(command, check=True, capture_output=True).stdout
        inner = Place(place.root / str(number))
        inner.unpack(data)
        assert (inner.root / "holes").read_bytes() == (source / "holes").read_bytes()
        assert (inner.root / "holes").stat().st_blocks < 100
        assert inner.again() == data
