"""What every container gets unless it asks otherwise: Docker's defaults (Engine 28), for the container service.

The runtime adds none of them by itself, but for the device rules (`pymachine.engine.runtime.launch`).
"""

from __future__ import annotations

from pymachine.engine.runtime.capabilities import NAMES as ALL_CAPABILITIES
from pymachine.engine.runtime.launch import DEFAULT_DEVICE_RULES
from pymachine.engine.runtime.spec import Mount

SHM_SIZE = 64 * 2**20
"""Bytes of /dev/shm."""

CAPABILITIES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL",
    "CAP_AUDIT_WRITE",
)  # fmt: skip

DEVICE_CGROUP_RULES = DEFAULT_DEVICE_RULES
"""Always allowed, beside a container's own devices and rules; the runtime adds them itself."""

MASKED_PATHS = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
    "/sys/devices/virtual/powercap", "/sys/firmware",
)  # fmt: skip
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_SAFE = ("nosuid", "noexec", "nodev")


def mounts(*, privileged: bool = False, shm_size: int = SHM_SIZE) -> tuple[Mount, ...]:
    """The mounts of every container, in order. *privileged* ones may write to /sys and the control groups.

    A container that shares another's ipc namespace replaces those at /dev/shm and /dev/mqueue.
    """
    access = "rw" if privileged else "ro"
    return (
        Mount("/proc", "proc", "proc", _SAFE),
        Mount("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
        Mount(
            "/dev/pts", "devpts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")
        ),
        Mount("/sys", "sysfs", "sysfs", (*_SAFE, access)),
        Mount("/sys/fs/cgroup", "cgroup", "cgroup", (*_SAFE, "relatime", access)),
        Mount("/dev/mqueue", "mqueue", "mqueue", _SAFE),
        Mount("/dev/shm", "tmpfs", "shm", (*_SAFE, "mode=1777", f"size={shm_size}")),
    )


__all__ = [
    "ALL_CAPABILITIES", "CAPABILITIES", "DEVICE_CGROUP_RULES", "MASKED_PATHS", "READONLY_PATHS", "SHM_SIZE", "mounts",
]  # fmt: skip
