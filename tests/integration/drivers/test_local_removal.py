"""Local machines are removed without a trace: half made, damaged by hand, on a full disk, in roots with odd names."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from pymachine.drivers.local import bridge
from pymachine.drivers.local.layout import Layout, veth_name
from pymachine.drivers.local.subnets import Leases
from pymachine.machine.errors import DriverError, PreCreateCheckFailed
from support.localmachine import local_machine, traces
from support.smalldisk import small_disk

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("nothing_is_left")]


def test_remove_detaches_what_somebody_mounted_there(local_root: Path, tmp_path: Path) -> None:
    """A mount made by hand in the machine's folder is detached, and what it shows is not touched."""
    (tmp_path / "precious").write_text("keep")
    with local_machine() as machine:
        machine.create()
        data = machine.driver._paths.data
        subprocess.run(["mount", "--bind", tmp_path, data / "pyengine"], check=True)
        machine.driver.remove()
        assert machine.driver.leftovers() == []
    assert (tmp_path / "precious").read_text() == "keep"


def test_remove_of_immutable_files() -> None:
    """Files that the machine's root made immutable go too."""
    with local_machine() as machine:
        machine.create()
        machine.ssh("mkdir /root/d; touch /root/d/f /var/lib/pyengine/g; ln -s / /root/d/out")
        machine.driver.stop()
        for path in ("upper/root/d/f", "upper/root/d", "data/pyengine/g"):
            subprocess.run(["chattr", "+i", machine.driver._paths.directory / path], check=True)
        machine.driver.remove()
        assert machine.driver.leftovers() == []


@pytest.mark.parametrize("gone", ["directory", "upper", "pid.json", "interface", "bridge", "state", "cgroup"])
def test_remove_after_parts_were_removed_by_hand(gone: str, local_root: Path) -> None:
    """Whatever somebody took away, remove takes the rest."""
    with local_machine() as machine:
        machine.create()
        driver = machine.driver
        if gone == "interface":
            subprocess.run(["ip", "link", "delete", veth_name(machine.bench.machine_id)], check=True)
        elif gone == "bridge":
            lease = Leases(Layout.from_environment()).find(machine.bench.machine_id)
            assert lease is not None
            subprocess.run(["ip", "link", "delete", lease.bridge], check=True)
        else:
            machine.driver.kill()
            path = driver._paths.directory
            if gone == "state":
                bridge_name = Leases(Layout.from_environment()).find(machine.bench.machine_id)
                assert bridge_name is not None
                bridge.remove(bridge_name.bridge, str(local_root))
                shutil.rmtree(local_root / "network")
            elif gone == "directory":
                shutil.rmtree(path)
            elif gone != "cgroup":
                target = path / gone
                shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        machine.driver.remove()
        assert machine.driver.leftovers() == []


def test_create_killed_at_any_time_can_be_resumed_and_removed() -> None:
    """Not only between steps: kill -9 in the midst of whatever create does."""
    chance = random.Random(7)
    for number in range(8):
        with local_machine(f"crash{number}") as machine:
            child = os.fork()
            if child == 0:
                with contextlib.suppress(BaseException):
                    machine.driver.create()
                os._exit(0)
            time.sleep(chance.uniform(0.0, 0.5))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            if number % 2:
                machine.create()
                assert machine.ssh("echo up") == "up"
            machine.driver.remove()
            assert machine.driver.leftovers() == []


def test_a_full_disk_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Before, by the check; and by create itself, whose remains can be removed."""
    with small_disk(tmp_path / "small", "20k") as small:
        monkeypatch.setenv("PYMACHINE_LOCAL_ROOT", str(small))
        with local_machine() as machine:
            with pytest.raises(PreCreateCheckFailed, match="only 0 MiB are free"):
                machine.driver.pre_create_check()
            with pytest.raises(DriverError, match="No space left on device") as caught:
                machine.driver.create()
            assert "\n" not in str(caught.value)
            machine.driver.remove()
            assert machine.driver.leftovers() == []


def test_a_machine_of_another_local_root_is_not_lost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the variable not set as it was, start and remove say so instead of finding nothing."""
    with local_machine() as machine:
        machine.create()
        with monkeypatch.context() as other:
            other.setenv("PYMACHINE_LOCAL_ROOT", str(tmp_path))
            Layout.from_environment().identity(make=True)
            for operation in (machine.driver.remove, machine.driver.start):
                with pytest.raises(DriverError, match="another local root"):
                    operation()
        assert machine.ssh("echo unharmed") == "unharmed"


def test_a_local_root_with_an_odd_name(local_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blanks, colons, commas and quotes in paths are no syntax for anybody on the way."""
    odd = local_root / "a: b,c='d'\\e"
    odd.mkdir()
    monkeypatch.setenv("PYMACHINE_LOCAL_ROOT", str(odd))
    with local_machine() as machine:
        machine.create()
        assert machine.ssh("touch /var/lib/pyengine/here && echo up") == "up"
        assert (machine.driver._paths.data / "pyengine/here").exists()
        machine.driver.stop()
        machine.driver.start()
    assert not (odd / "machines").exists()
    assert traces(odd) == []
