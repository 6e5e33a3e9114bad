"""Resource limits of ``HostConfig``: checked with Docker's words, turned into the runtime's."""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Iterable, Mapping
from typing import Any

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.engine.containers.problems import Problems
from pymachine.engine.runtime.spec import Resources, Rlimit

MINIMUM_MEMORY = 6 * 2**20
_PERIOD = 100_000
"""The kernel's default CFS period in microseconds."""
_BLOCK_DEVICES = {
    "BlkioWeightDevice": ("weight", "Weight"),
    "BlkioDeviceReadBps": ("read_bps", "Rate"),
    "BlkioDeviceWriteBps": ("write_bps", "Rate"),
    "BlkioDeviceReadIOps": ("read_iops", "Rate"),
    "BlkioDeviceWriteIOps": ("write_iops", "Rate"),
}
"""Our name for what each field limits, and the entry of its objects that says how much."""
_RLIMITS = "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack"
"""getrlimit(2), in lower case."""


def check(host_config: Mapping[str, Any], problems: Problems) -> None:
    """Note every limit that makes no sense here."""
    _check_memory(host_config, problems)
    _check_cpu(host_config, problems)
    weight = host_config.get("BlkioWeight") or 0
    if weight and not 10 <= weight <= 1000:
        problems.add("Range of blkio weight is from 10 to 1000")
    if not -1000 <= (host_config.get("OomScoreAdj") or 0) <= 1000:
        problems.add(f"Invalid value {host_config['OomScoreAdj']}, range for oom score adj is [-1000, 1000]")
    if (host_config.get("ShmSize") or 0) < 0:
        problems.add("SHM size can not be less than 0")
    with problems.collect():
        block_devices(host_config)
    with problems.collect():
        rlimits(host_config.get("Ulimits") or [], {})


def _check_memory(host_config: Mapping[str, Any], problems: Problems) -> None:
    memory, swap = host_config.get("Memory") or 0, host_config.get("MemorySwap") or 0
    reservation, swappiness = host_config.get("MemoryReservation") or 0, host_config.get("MemorySwappiness")
    if memory and memory < MINIMUM_MEMORY:
        problems.add("Minimum memory limit allowed is 6MB")
    if swap > 0 and not memory:
        problems.add("You should always set the Memory limit when using Memoryswap limit, see usage")
    elif 0 < swap < memory:
        problems.add("Minimum memoryswap limit should be larger than memory limit, see usage")
    if reservation and reservation < MINIMUM_MEMORY:
        problems.add("Minimum memory reservation allowed is 6MB")
    if memory and reservation > memory:
        problems.add("Minimum memory limit can not be less than memory reservation limit, see usage")
    if swappiness is not None and not -1 <= swappiness <= 100:
        problems.add(f"Invalid value: {swappiness}, valid memory swappiness range is 0-100")


def _check_cpu(host_config: Mapping[str, Any], problems: Problems) -> None:
    nano, period = host_config.get("NanoCpus") or 0, host_config.get("CpuPeriod") or 0
    quota, count = host_config.get("CpuQuota") or 0, os.cpu_count() or 1
    if nano and (period or quota):
        problems.add("Conflicting options: Nano CPUs and CPU Period or Quota cannot both be set.")
    if nano and not 10**7 <= nano <= count * 10**9:
        problems.add(f"Range of CPUs is from 0.01 to {count}.00, as there are only {count} CPUs available")
    if period and not 1000 <= period <= 1_000_000:
        problems.add("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < quota < 1000:
        problems.add("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if (host_config.get("CpuShares") or 0) < 0:
        problems.add("CPU shares can not be negative")
    for name, what, where in (("CpusetCpus", "CPUs", "cpu"), ("CpusetMems", "memory nodes", "node")):
        with problems.collect():
            _check_set(host_config.get(name) or "", what, where)


def _check_set(given: str, what: str, where: str) -> None:
    if not given:
        return
    online = _online(where)
    try:
        wanted = _numbers(given)
    except ValueError:
        raise InvalidArgument(f"Invalid value {given} for cpuset {what}") from None
    if not wanted <= _numbers(online):
        raise InvalidArgument(f"Requested {what} are not available - requested {given}, available: {online}")


@functools.cache
def _online(where: str) -> str:
    try:
        with open(f"/sys/devices/system/{where}/online") as file:
            return file.read().strip()
    except OSError:
        return "0"


def _numbers(text: str) -> set[int]:
    """The members of a list such as ``0-3,7`` (cpuset(7), "List format")."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        low, high = int(first), int(last or first)
        if not 0 <= low <= high < 65536:
            raise ValueError(part)
        found.update(range(low, high + 1))
    return found


def resources(host_config: Mapping[str, Any]) -> Resources:
    """The limits for the runtime."""
    period, quota = host_config.get("CpuPeriod") or 0, host_config.get("CpuQuota") or 0
    if nano := host_config.get("NanoCpus") or 0:
        period, quota = _PERIOD, nano * _PERIOD // 10**9
    swappiness = host_config.get("MemorySwappiness")
    memory = host_config.get("Memory") or 0
    return Resources(
        memory=memory,
        # Docker's documented default: as much swap again as memory.
        memory_swap=host_config.get("MemorySwap") or 2 * memory,
        memory_reservation=host_config.get("MemoryReservation") or 0,
        memory_swappiness=None if swappiness in (None, -1) else swappiness,
        oom_kill_disable=bool(host_config.get("OomKillDisable")),
        cpu_shares=host_config.get("CpuShares") or 0,
        cpu_period=period,
        cpu_quota=quota,
        cpuset_cpus=host_config.get("CpusetCpus") or "",
        cpuset_mems=host_config.get("CpusetMems") or "",
        pids_limit=host_config.get("PidsLimit") or 0,
        blkio_weight=host_config.get("BlkioWeight") or 0,
        block_devices=block_devices(host_config),
    )


def block_devices(host_config: Mapping[str, Any]) -> tuple[tuple[str, str, int], ...]:
    """The limits of single block devices; raises `InvalidArgument`."""
    found = [
        (kind, _device_number(entry.get("Path") or ""), _within(kind, entry.get(value) or 0))
        for field, (kind, value) in _BLOCK_DEVICES.items()
        for entry in host_config.get(field) or ()
    ]
    return tuple(found)


def _within(kind: str, value: int) -> int:
    if kind == "weight" and not 10 <= value <= 1000:
        raise InvalidArgument("Range of blkio weight is from 10 to 1000")
    if not 0 <= value < 2**64:
        raise InvalidArgument(f"invalid rate of a block device: {value}")
    return value


def _device_number(path: str) -> str:
    """``major:minor`` of a block device."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise InvalidArgument(f"{path or 'block device without a path'}: {(error.strerror or '').lower()}") from None
    if not stat.S_ISBLK(status.st_mode):
        raise InvalidArgument(f"{path}: not a block device")
    return f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"


def rlimits(given: Iterable[Mapping[str, Any]], defaults: Mapping[str, tuple[int, int]]) -> tuple[Rlimit, ...]:
    """The resource limits: the daemon's *defaults* (name: soft, hard) with the request's laid over."""
    limits = {name: Rlimit(name, soft, hard) for name, (soft, hard) in defaults.items()}
    for entry in given:
        name, soft, hard = entry.get("Name"), entry.get("Soft"), entry.get("Hard")
        if not isinstance(name, str) or name not in _RLIMITS.split():
            raise InvalidArgument(f"invalid ulimit type: {name}")
        if not isinstance(soft, int) or not isinstance(hard, int):
            raise InvalidArgument(f"invalid ulimit {name}: Soft and Hard must be whole numbers")
        if hard != -1 and (soft > hard or soft == -1):
            raise InvalidArgument(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
        limits[name] = Rlimit(name, soft, hard)
    return tuple(limits.values())
