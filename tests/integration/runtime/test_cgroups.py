"""Control groups: limits are written, changed, and both versions can freeze, count, kill and go."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.engine.runtime import cgroups, launch
from pymachine.engine.runtime.base import ExitStatus
from pymachine.engine.runtime.cgroup1 import CgroupV1
from pymachine.engine.runtime.cgroup2 import CgroupV2
from pymachine.engine.runtime.handle import ShimHandle
from pymachine.engine.runtime.spec import Resources
from support.runtimes import Box

pytestmark = pytest.mark.root

V2_ROOT = cgroups.hierarchies().unified
needs_v1 = pytest.mark.skipif(not cgroups.hierarchies().legacy, reason="no control groups version 1 here")
needs_v2 = pytest.mark.skipif(not V2_ROOT, reason="no control groups version 2 here")


@pytest.fixture
def path() -> Iterator[str]:
    """A control group's name; whatever it is used for is removed."""
    name = f"pymachine-test-{os.getpid()}-groups"
    yield name
    found = cgroups.hierarchies()
    for group in (CgroupV1(name, found.legacy), CgroupV2(name, found.unified)):
        group.kill()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                group.remove()
                break
            except OSError:
                time.sleep(0.01)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process to be put into groups."""
    process = subprocess.Popen(["sleep", "100"])
    yield process
    process.kill()
    process.wait()


def value(controller: str, path: str, file: str) -> str:
    return Path(cgroups.hierarchies().legacy[controller], path, file).read_text().strip()


@needs_v1
def test_limits_are_written_where_the_kernel_reads_them(box: Box) -> None:
    limits = Resources(
        memory=64 * 2**20, memory_reservation=32 * 2**20, memory_swappiness=10, cpu_shares=512, cpu_period=50_000,
        cpu_quota=25_000, cpuset_cpus="0", pids_limit=77,
    )  # fmt: skip

    async def test() -> None:
        spec = box.spec("sleep", "100", resources=limits)
        handle = await box.start(spec)
        assert value("memory", spec.cgroup, "memory.limit_in_bytes") == str(64 * 2**20)
        assert value("memory", spec.cgroup, "memory.soft_limit_in_bytes") == str(32 * 2**20)
        assert value("cpu", spec.cgroup, "cpu.shares") == "512"
        assert value("cpu", spec.cgroup, "cpu.cfs_period_us") == "50000"
        assert value("cpu", spec.cgroup, "cpu.cfs_quota_us") == "25000"
        assert value("cpuset", spec.cgroup, "cpuset.cpus") == "0"
        assert value("pids", spec.cgroup, "pids.max") == "77"
        assert isinstance(handle, ShimHandle)
        await handle.update(Resources(memory=96 * 2**20, pids_limit=-1))
        assert value("memory", spec.cgroup, "memory.limit_in_bytes") == str(96 * 2**20)
        assert value("pids", spec.cgroup, "pids.max") == "max"
        assert value("cpu", spec.cgroup, "cpu.shares") == "512"

    box.run(test)


@needs_v1
def test_memory_grows_past_what_memory_and_swap_were(path: str) -> None:
    group = CgroupV1(path, cgroups.hierarchies().legacy)
    if not os.path.exists(Path(cgroups.hierarchies().legacy["memory"], "memory.memsw.limit_in_bytes")):
        pytest.skip("this kernel does not account for swap")
    assert group.create(Resources(memory=32 * 2**20, memory_swap=64 * 2**20), None) == []
    assert group.update(Resources(memory=128 * 2**20, memory_swap=256 * 2**20)) == []
    assert group.update(Resources(memory=16 * 2**20, memory_swap=32 * 2**20)) == []
    assert value("memory", path, "memory.memsw.limit_in_bytes") == str(32 * 2**20)


@needs_v1
def test_what_cannot_be_limited_is_a_warning_not_a_failure(path: str) -> None:
    group = CgroupV1(path, cgroups.hierarchies().legacy)
    warnings = group.create(Resources(cpuset_cpus="4000"), None)
    assert len(warnings) == 1
    assert warnings[0].startswith("CPU set: ")


@needs_v2
def test_version_two_counts_freezes_and_kills(path: str, sleeper: subprocess.Popen[bytes]) -> None:
    group = CgroupV2(f"{path}/inner", V2_ROOT)
    group.create(Resources(), None)
    group.add(sleeper.pid)
    assert group.processes() == [sleeper.pid]
    group.set_frozen(True)
    assert cgroups.field(f"{V2_ROOT}/{path}/inner/cgroup.events", "frozen") == 1
    group.set_frozen(False)
    with pytest.raises(OSError, match="busy"):
        group.remove()
    group.kill()
    assert sleeper.wait(10) == -9
    group.remove()
    assert not os.path.exists(f"{V2_ROOT}/{path}/inner")
    group.remove()


@needs_v2
def test_version_two_filters_devices_by_a_program(path: str) -> None:
    group = CgroupV2(path, V2_ROOT)
    assert group.create(Resources(), (*launch.DEFAULT_DEVICE_RULES, "c 1:11 w")) == []
    reads = "for f in null urandom kmsg; do head -c 0 /dev/$f && echo $f; done"
    script = f"echo $$ > $0/cgroup.procs; {reads}; : > /dev/kmsg && echo written"
    done = subprocess.run(["sh", "-c", script, f"{V2_ROOT}/{path}"], capture_output=True, text=True)
    assert done.stdout.split() == ["null", "urandom", "written"]
    assert "Operation not permitted" in done.stderr


@needs_v2
def test_version_two_says_what_it_has_no_counterpart_for(path: str) -> None:
    group = CgroupV2(path, V2_ROOT)
    warnings = group.create(Resources(memory_swappiness=10, oom_kill_disable=True), None)
    assert len(warnings) == 2


@needs_v1
def test_a_program_that_takes_too_much_memory_is_killed_and_that_is_told(box: Box) -> None:
    async def test() -> None:
        script = "x=$(dd if=/dev/zero bs=1M count=200 | tr '\\0' a); echo ${#x}"
        limits = Resources(memory=32 * 2**20, memory_swap=32 * 2**20)
        status = await (await box.start(box.spec("sh", "-c", script + "; exit 0", resources=limits))).wait()
        assert status == ExitStatus(status.code, status.finished_at, oom_killed=True)

    box.run(test)


@needs_v1
def test_the_number_of_processes_is_limited(box: Box) -> None:
    async def test() -> None:
        shown = await box.output(
            "sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo done", resources=Resources(pids_limit=4)
        )
        assert "can't fork" in shown

    box.run(test)
