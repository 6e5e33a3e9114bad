"""Facts about the host, the lock, the id, and what systemd is told."""

import os
import socket
from pathlib import Path

import pytest

from pymachine.engine import hostfacts, identity, notify
from pymachine.engine.lock import AlreadyRunning, EngineLock


def test_the_system_is_named_by_os_release(tmp_path: Path) -> None:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/os-release").write_text('# comment\nPRETTY_NAME="Test Linux 1"\nVERSION_ID=1\n')
    assert hostfacts.operating_system(tmp_path) == ("Test Linux 1", "1")
    assert hostfacts.operating_system(tmp_path / "usr") == ("Linux", "")


def test_cgroup_v2_is_known_by_its_controllers(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (tmp_path / "system.slice").mkdir()
    (tmp_path / "system.slice/memory.swap.max").write_text("max")
    facts = hostfacts.cgroups(tmp_path)
    assert facts.version == "2"
    assert facts.warnings() == []


def test_cgroup_v1_is_known_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory/memory.limit_in_bytes").write_text("0")
    facts = hostfacts.cgroups(tmp_path)
    assert (facts.version, facts.memory, facts.swap, facts.pids) == ("1", True, False, False)
    assert "WARNING: No swap limit support" in facts.warnings()
    assert "WARNING: No memory limit support" not in facts.warnings()


def test_the_file_system_of_a_path_is_found() -> None:
    assert hostfacts.file_system(Path("/proc/self")) == "proc"


def test_the_id_is_made_once(tmp_path: Path) -> None:
    first = identity.engine_id(tmp_path)
    assert identity.engine_id(tmp_path) == first
    (tmp_path / "engine-id").write_text("damaged")
    assert identity.engine_id(tmp_path) != first


def test_a_data_root_has_one_engine(tmp_path: Path) -> None:
    lock = EngineLock(tmp_path / "data", tmp_path / "run/pid")
    with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}"):
        EngineLock(tmp_path / "data", tmp_path / "other")
    assert (tmp_path / "run/pid").read_text() == f"{os.getpid()}\n"
    lock.release()
    assert not (tmp_path / "run/pid").exists()
    EngineLock(tmp_path / "data", tmp_path / "run/pid").release()


def test_anothers_pid_file_is_not_removed(tmp_path: Path) -> None:
    lock = EngineLock(tmp_path, tmp_path / "pid")
    (tmp_path / "pid").write_text("1\n")
    lock.release()
    assert (tmp_path / "pid").exists()


def test_systemd_is_told_by_its_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify.ready()
        notify.reloading()
        assert listening.recv(1000).startswith(b"READY=1\n")
        assert b"MONOTONIC_USEC=" in listening.recv(1000)


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "relative"])
def test_without_systemd_nothing_happens(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify.stopping()
