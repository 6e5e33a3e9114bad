"""Control groups version 1: one folder in each controller's own tree.

Source: Documentation/admin-guide/cgroup-v1/{memory,cpusets,devices,freezer-subsystem,blkio-controller,pids}.rst.
"""

from __future__ import annotations

import errno
import os
import time

from pymachine.engine.runtime import cgroups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pymachine.engine.runtime.spec import Resources

_FREEZE_SECONDS = 5.0


Setting = tuple[str, str, str, str]
"""Controller, file, value and purpose."""


class CgroupV1:
    """A container's folders, one in each mounted tree."""

    def __init__(self, path: str, mounts: dict[str, str]) -> None:
        self._path = path
        self._folders = {controller: f"{point}/{path}" for controller, point in mounts.items()}

    def create(self, resources: Resources, devices: tuple[str, ...] | None) -> list[str]:
        for folder in dict.fromkeys(self._folders.values()):
            _make(folder)
        self._inherit_cpuset()
        self._allow_devices(devices)
        return self.update(resources)

    def update(self, resources: Resources) -> list[str]:
        settings, warnings = [], []
        for controller, file, value, purpose in self._in_order(settings_of(resources), resources.memory):
            if controller in self._folders:
                settings.append((f"{self._folders[controller]}/{file}", value, purpose))
            else:
                warnings.append(f"{purpose}: this computer has no {controller} control groups")
        return warnings + cgroups.try_settings(settings)

    def _in_order(self, settings: list[Setting], memory: int) -> list[Setting]:
        """Memory may never be more than memory and swap together: when it grows past that, that grows first."""
        try:
            both = int(cgroups.read(f"{self._folders.get('memory', '')}/memory.memsw.limit_in_bytes"))
        except (OSError, ValueError):
            return settings
        if memory > both and len(settings) > 1 and settings[1][1] == "memory.memsw.limit_in_bytes":
            return [settings[1], settings[0], *settings[2:]]
        return settings

    def add(self, pid: int) -> None:
        for folder in dict.fromkeys(self._folders.values()):
            cgroups.write(f"{folder}/cgroup.procs", str(pid))

    def set_frozen(self, frozen: bool) -> None:
        if "freezer" not in self._folders:
            raise OSError(errno.ENOTSUP, "this computer has no freezer control groups")
        file, wanted = f"{self._folders['freezer']}/freezer.state", "FROZEN" if frozen else "THAWED"
        deadline = time.monotonic() + _FREEZE_SECONDS
        cgroups.write(file, wanted)
        while cgroups.read(file).strip() != wanted:
            if time.monotonic() > deadline:
                cgroups.write(file, "THAWED")
                raise OSError(errno.EBUSY, "the container's processes can't be frozen", file)
            time.sleep(0.001)
            cgroups.write(file, wanted)  # a process forked meanwhile leaves it FREEZING until told again

    def processes(self) -> list[int]:
        for folder in self._folders.values():
            return _processes(folder)
        return []

    def kill(self) -> None:
        cgroups.kill_all(self)

    def oom_kills(self) -> int:
        return cgroups.field(f"{self._folders.get('memory', '')}/memory.oom_control", "oom_kill")

    def remove(self) -> None:
        for folder in dict.fromkeys(self._folders.values()):
            cgroups.remove_tree(folder)

    def _inherit_cpuset(self) -> None:
        """A new cpuset is empty and takes no process until it is given CPUs and memory nodes."""
        if "cpuset" not in self._folders:
            return
        point = self._folders["cpuset"].removesuffix(f"/{self._path}")
        folder = point
        for name in self._path.split("/"):
            parent, folder = folder, f"{folder}/{name}"
            for file in ("cpuset.cpus", "cpuset.mems"):
                if not cgroups.read(f"{folder}/{file}").strip():
                    cgroups.write(f"{folder}/{file}", cgroups.read(f"{parent}/{file}").strip())

    def _allow_devices(self, devices: tuple[str, ...] | None) -> None:
        if devices is None or "devices" not in self._folders:
            return
        folder = self._folders["devices"]
        cgroups.write(f"{folder}/devices.deny", "a")
        for rule in devices:
            cgroups.write(f"{folder}/devices.allow", rule)


def _make(folder: str) -> None:
    try:
        os.mkdir(folder)
    except FileExistsError:
        pass
    except FileNotFoundError:
        os.makedirs(folder, exist_ok=True)


def _processes(folder: str) -> list[int]:
    found: list[int] = []
    for path in cgroups.folders_below(folder):
        try:
            found += map(int, cgroups.read(f"{path}/cgroup.procs").split())
        except OSError:
            continue  # removed meanwhile
    return found


def settings_of(limits: Resources) -> list[Setting]:
    """Each limit, in an order that the kernel takes in a new group."""
    found = [
        ("memory", "memory.limit_in_bytes", limits.memory, "memory limit"),
        ("memory", "memory.memsw.limit_in_bytes", limits.memory_swap, "swap limit"),
        ("memory", "memory.soft_limit_in_bytes", limits.memory_reservation, "memory reservation"),
        ("cpu", "cpu.shares", limits.cpu_shares, "CPU shares"),
        ("cpu", "cpu.cfs_period_us", limits.cpu_period, "CPU period"),
        ("cpu", "cpu.cfs_quota_us", limits.cpu_quota, "CPU quota"),
        ("cpuset", "cpuset.cpus", limits.cpuset_cpus, "CPU set"),
        ("cpuset", "cpuset.mems", limits.cpuset_mems, "memory nodes"),
        ("pids", "pids.max", "max" if limits.pids_limit < 0 else limits.pids_limit, "pids limit"),
        ("blkio", "blkio.weight", limits.blkio_weight, "block I/O weight"),
    ]
    settings = [(controller, file, str(value), purpose) for controller, file, value, purpose in found if value]
    if limits.memory_swappiness is not None and limits.memory_swappiness >= 0:
        settings.append(("memory", "memory.swappiness", str(limits.memory_swappiness), "memory swappiness"))
    if limits.oom_kill_disable:
        settings.append(("memory", "memory.oom_control", "1", "OOM killer"))
    for kind, device, value in limits.block_devices:
        file = "blkio.weight_device" if kind == "weight" else f"blkio.throttle.{kind}_device"
        settings.append(("blkio", file, f"{device} {value}", "limit of a block device"))
    return settings
