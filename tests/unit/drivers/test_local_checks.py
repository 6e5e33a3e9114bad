"""What the local driver says before it makes anything, and how it tells the system's own errors."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from pymachine.drivers.local import cgroups, checks, host
from pymachine.drivers.local.faults import told
from pymachine.drivers.local.layout import Layout
from pymachine.drivers.local.options import Options
from pymachine.machine.errors import (
    DeadlineExceeded,
    DriverError,
    InvalidOption,
    MissingRequirement,
    PreCreateCheckFailed,
)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "root", tmp_path / "images")


def test_wrong_values_come_first(layout: Layout) -> None:
    """All of them, whoever asks and on whatever computer."""
    with pytest.raises(InvalidOption, match=r"--local-memory.*--local-cpus"):
        checks.check(Options(memory="x", cpus=-1), layout)


def test_without_root(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy is the command with sudo."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(PreCreateCheckFailed, match="needs root") as caught:
        checks.check(Options(), layout)
    assert "sudo" in caught.value.hint


def test_on_another_system(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said at once."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(PreCreateCheckFailed, match="needs Linux"):
        checks.check(Options(), layout)


def test_everything_missing_is_named_at_once(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs, image, cgroups and mount sources, with one hint for each remedy; and nothing was made."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(host, "find", lambda program: None)
    monkeypatch.setattr(cgroups, "hierarchies", list)
    monkeypatch.setattr(checks, "overlay_problem", lambda place: "Invalid argument")
    with pytest.raises(PreCreateCheckFailed) as caught:
        checks.check(Options(mount=("/no/such:/mnt",), memory="1g"), layout)
    for words in (
        "systemd-nspawn is not installed",
        "iptables is not installed",
        'there is no image "debian-12"',
        "no cgroup hierarchy",
        "no memory cgroup controller",
        "/no/such does not exist",
        "overlay mounts do not work",
    ):
        assert words in str(caught.value)
    for words in ("systemd-container", "pymachine image build", "PYMACHINE_LOCAL_ROOT"):
        assert words in caught.value.hint
    assert not layout.root.exists()


def test_a_local_root_that_is_a_file(tmp_path: Path) -> None:
    """Before anything is made."""
    (tmp_path / "file").touch()
    found = list(checks.problems(Options(), Layout(tmp_path / "file", tmp_path / "images")))
    assert f"PYMACHINE_LOCAL_ROOT: {tmp_path / 'file'} is not a directory" in map(str, found)


def test_errors_of_the_system_are_told_with_stage_and_file() -> None:
    """One line, and a remedy where there is one."""
    with pytest.raises(DriverError, match="making it failed: No space left on device: /x") as caught, told("making it"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x")
    assert "free some disk space" in caught.value.hint


def test_our_own_errors_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those too that are kinds of OSError; and without root a refusal is a missing requirement."""
    with pytest.raises(DeadlineExceeded), told("waiting"):
        raise DeadlineExceeded("waiting", 1)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MissingRequirement, match="reading needs root: /x"), told("reading"):
        raise PermissionError(errno.EACCES, "Permission denied", "/x")
