"""``scp`` and ``mount`` on real machines."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.program import Program

pytestmark = pytest.mark.root


def test_copying_there_and_back(pair: Program, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("content")
    pair.ok("scp", "-r", "-q", str(tmp_path / "d"), "one:/tmp/")
    pair.ok("scp", "-q", "root@one:/tmp/d/f", str(tmp_path / "back"))

    assert (tmp_path / "back").read_text() == "content"


def test_from_machine_to_machine_each_with_its_own_key(pair: Program) -> None:
    pair.ok("ssh", "one", "echo from one >/tmp/x")
    pair.ok("scp", "one:/tmp/x", "two:/tmp/y")

    assert pair.ok("ssh", "two", "cat /tmp/y") == "from one\n"


def test_delta(pair: Program, tmp_path: Path) -> None:
    """Between machines it cannot work at all."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "x").write_text("first")
    source = f"{tmp_path}/tree/"
    assert pair.ok("scp", "-r", "-d", "-q", source, "one:/root/tree") == ""
    assert pair.ok("ssh", "one", "cat /root/tree/x") == "first"
    assert "rsync cannot copy from one machine to another" in pair.run("scp", "-d", "one:/x", "two:/x").stderr


def test_delta_without_rsync_on_one_side(pair: Program, tmp_path: Path) -> None:
    """One line says where it is missing, and the next which package to install."""
    (tmp_path / "x").write_text("x")
    pair.ok("ssh", "two", "mv $(command -v rsync) /root/rsync")
    there = pair.run("scp", "-d", f"{tmp_path}/x", "two:/root/x")
    pair.ok("ssh", "two", "mv /root/rsync /usr/bin/rsync")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "ssh").symlink_to(shutil.which("ssh") or "ssh")
    here = pair.run("scp", "-d", f"{tmp_path}/x", "two:/root/x", env={"PATH": str(programs)})

    assert there.returncode == here.returncode == 1
    line, remedy = there.stderr.splitlines()
    assert line == 'There is no rsync on the machine "two", which the --delta option needs on both sides'
    assert "pymachine ssh two sudo apt-get install -y rsync" in remedy
    line, remedy = here.stderr.splitlines()
    assert line == "You must have a copy of the rsync binary locally to use the --delta option"
    assert "rsync" in remedy


def test_failures_have_scps_status_and_words(pair: Program, tmp_path: Path) -> None:
    missing = pair.run("scp", "one:/missing", str(tmp_path))
    unknown = pair.run("scp", "nobody:/x", str(tmp_path))
    one = pair.run("scp", "one:/x")

    assert (missing.returncode, "No such file" in missing.stderr) == (1, True)
    assert unknown.returncode == 1
    assert unknown.stderr.startswith('Error loading host: Docker machine "nobody" does not exist')
    assert (one.returncode, one.stderr) == (1, "Error: Improper number of arguments\n")


def test_without_scp_the_remedy_is_said(pair: Program, tmp_path: Path) -> None:
    done = pair.run("scp", "one:/x", str(tmp_path), env={"PATH": str(tmp_path)})

    assert done.stderr.startswith("You must have a copy of the scp binary locally to use the scp feature\n")


@pytest.fixture
def mountpoint(pair: Program, tmp_path: Path) -> Iterator[Path]:
    if shutil.which("sshfs") is None or not Path("/dev/fuse").exists():
        pytest.skip("sshfs cannot be used here")
    directory = tmp_path / "mnt point"
    directory.mkdir()
    yield directory
    if directory.is_mount():
        pair.run("mount", "-u", str(directory))


def test_mounting(pair: Program, mountpoint: Path) -> None:
    pair.ok("ssh", "two", "mkdir -p /srv/data && echo hello >/srv/data/f")
    pair.ok("mount", "two:/srv/data", str(mountpoint))

    assert (mountpoint / "f").read_text() == "hello\n"
    (mountpoint / "new").write_text("from here")
    assert pair.ok("ssh", "two", "cat /srv/data/new") == "from here"
    pair.ok("mount", "-u", "two:/srv/data", str(mountpoint))
    assert not mountpoint.is_mount()


def test_mounts_that_cannot_be(pair: Program, mountpoint: Path, tmp_path: Path) -> None:
    assert "is not a directory of this computer" in pair.run("mount", "one:/etc", str(tmp_path / "missing")).stderr
    assert pair.run("mount").stderr == "Error: Improper number of arguments\n"
    without = pair.run("mount", "one:/etc", str(mountpoint), env={"PATH": str(tmp_path)})
    assert without.stderr.startswith("You must have a copy of the sshfs binary locally to use the mount feature\n")
    assert pair.run("mount", "one:/not-there", str(mountpoint)).returncode == 1
