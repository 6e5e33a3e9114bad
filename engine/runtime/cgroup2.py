"""Control groups version 2: one folder in the one tree, controllers switched on from the top down.

Limits come in the Engine API's (version 1's) units and are turned into version 2's. What version 2 has no
counterpart for (swappiness, switching the OOM killer off) is answered with a warning.
Source: Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

import errno
import os
import time

from pymachine.engine.runtime import cgroups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pymachine.engine.runtime.spec import Resources

_CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")
_FREEZE_SECONDS = 5.0


class CgroupV2:
    """A container's folder in the unified tree."""

    def __init__(self, path: str, mount_point: str) -> None:
        self._point, self._path = mount_point, path
        self._folder = f"{mount_point}/{path}"

    def create(self, resources: Resources, devices: tuple[str, ...] | None) -> list[str]:
        folder = self._point
        for name in self._path.split("/"):
            _enable_controllers(folder)
            folder = f"{folder}/{name}"
            try:
                os.mkdir(folder)
            except FileExistsError:
                pass
        warnings = self.update(resources)
        if devices is not None:
            warnings += self._allow_devices(devices)
        return warnings

    def update(self, resources: Resources) -> list[str]:
        settings = [(f"{self._folder}/{file}", value, what) for file, value, what in settings_of(resources)]
        return cgroups.try_settings(settings) + _without_counterpart(resources)

    def add(self, pid: int) -> None:
        cgroups.write(f"{self._folder}/cgroup.procs", str(pid))

    def set_frozen(self, frozen: bool) -> None:
        cgroups.write(f"{self._folder}/cgroup.freeze", "1" if frozen else "0")
        deadline = time.monotonic() + _FREEZE_SECONDS
        while bool(cgroups.field(f"{self._folder}/cgroup.events", "frozen")) != frozen:
            if time.monotonic() > deadline:
                cgroups.write(f"{self._folder}/cgroup.freeze", "0")
                raise OSError(errno.EBUSY, "the container's processes can't be frozen", self._folder)
            time.sleep(0.001)

    def processes(self) -> list[int]:
        found: list[int] = []
        for folder in cgroups.folders_below(self._folder):
            try:
                found += map(int, cgroups.read(f"{folder}/cgroup.procs").split())
            except OSError:
                continue  # removed meanwhile, or a threaded group
        return found

    def kill(self) -> None:
        try:
            cgroups.write(f"{self._folder}/cgroup.kill", "1")  # Linux 5.14; takes in forks under way
        except FileNotFoundError:
            cgroups.kill_all(self)

    def oom_kills(self) -> int:
        return cgroups.field(f"{self._folder}/memory.events", "oom_kill")

    def remove(self) -> None:
        cgroups.remove_tree(self._folder)

    def _allow_devices(self, devices: tuple[str, ...]) -> list[str]:
        from pymachine.engine.runtime import devicefilter

        try:
            devicefilter.attach(self._folder, devices)
        except OSError as error:
            return [f"devices: the kernel takes no device filter: {error.strerror}"]
        return []


def _enable_controllers(folder: str) -> None:
    """Pass the controllers on to the groups below *folder*; each alone, since one refusal refuses a list."""
    try:
        enabled = cgroups.read(f"{folder}/cgroup.subtree_control").split()
        offered = cgroups.read(f"{folder}/cgroup.controllers").split()
    except FileNotFoundError:
        return
    for controller in _CONTROLLERS:
        if controller in offered and controller not in enabled:
            try:
                cgroups.write(f"{folder}/cgroup.subtree_control", f"+{controller}")
            except OSError:
                continue  # processes are in this group: limits below will be warned about one by one


def settings_of(limits: Resources) -> list[tuple[str, str, str]]:
    """File, value and purpose of each limit."""
    found = []
    if limits.memory:
        found.append(("memory.max", str(limits.memory), "memory limit"))
    if limits.memory_swap:
        swap = "max" if limits.memory_swap < 0 else str(max(0, limits.memory_swap - limits.memory))
        found.append(("memory.swap.max", swap, "swap limit"))
    if limits.memory_reservation:
        found.append(("memory.low", str(limits.memory_reservation), "memory reservation"))
    if limits.cpu_shares:
        found.append(("cpu.weight", str(cpu_weight(limits.cpu_shares)), "CPU shares"))
    if limits.cpu_quota or limits.cpu_period:
        quota = str(limits.cpu_quota) if limits.cpu_quota > 0 else "max"
        found.append(("cpu.max", f"{quota} {limits.cpu_period or 100_000}", "CPU quota"))
    if limits.cpuset_cpus:
        found.append(("cpuset.cpus", limits.cpuset_cpus, "CPU set"))
    if limits.cpuset_mems:
        found.append(("cpuset.mems", limits.cpuset_mems, "memory nodes"))
    if limits.pids_limit:
        found.append(("pids.max", "max" if limits.pids_limit < 0 else str(limits.pids_limit), "pids limit"))
    if limits.blkio_weight:
        found.append(("io.weight", f"default {io_weight(limits.blkio_weight)}", "block I/O weight"))
    for kind, device, value in limits.block_devices:
        if kind == "weight":
            found.append(("io.weight", f"{device} {io_weight(value)}", "weight of a block device"))
        else:
            direction, _, unit = kind.partition("_")  # read_bps is rbps
            found.append(("io.max", f"{device} {direction[0]}{unit}={value}", "limit of a block device"))
    return found


def cpu_weight(shares: int) -> int:
    """Version 2's weight (1…10000) for version 1's shares (2…262144)."""
    return 1 + (min(max(shares, 2), 262144) - 2) * 9999 // 262142


def io_weight(weight: int) -> int:
    """Version 2's weight (1…10000) for version 1's (10…1000)."""
    return 1 + (min(max(weight, 10), 1000) - 10) * 9999 // 990


def _without_counterpart(limits: Resources) -> list[str]:
    warnings = []
    if limits.memory_swappiness is not None and limits.memory_swappiness >= 0:
        warnings.append("memory swappiness: not available with control groups version 2")
    if limits.oom_kill_disable:
        warnings.append("OOM killer: can't be switched off with control groups version 2")
    return warnings
