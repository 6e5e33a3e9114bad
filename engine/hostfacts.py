"""Facts about this host for ``GET /info``: read from the kernel and os-release(5), nothing assumed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def operating_system(root: Path = Path("/")) -> tuple[str, str]:
    """Name (``Debian GNU/Linux 12 (bookworm)``) and version of the system, by os-release(5)."""
    for name in ("etc/os-release", "usr/lib/os-release"):
        try:
            values = _assignments((root / name).read_text("utf-8", "replace"))
        except OSError:
            continue
        return values.get("PRETTY_NAME", "Linux"), values.get("VERSION_ID", "")
    return "Linux", ""


def _assignments(text: str) -> dict[str, str]:
    values = {}
    for line in text.splitlines():
        name, found, value = line.partition("=")
        if found and not name.startswith("#"):
            values[name.strip()] = value.strip().strip("\"'")
    return values


def memory_total() -> int:
    """Bytes of memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def file_system(path: Path) -> str:
    """The type of the file system that holds *path* (proc_pid_mountinfo(5))."""
    target = str(path.resolve())
    best, kind = -1, "unknown"
    for line in Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines():
        left, _, right = line.partition(" - ")
        point = left.split(" ")[4].replace("\\040", " ")
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:
            best, kind = len(point), right.split(" ")[0]
    return {"ext2": "extfs", "ext3": "extfs", "ext4": "extfs"}.get(kind, kind)


def open_files() -> int:
    """File descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


def sysctl(name: str) -> bool:
    """Whether a kernel switch (``net/ipv4/ip_forward``) is on; false where the kernel does not have it."""
    try:
        return Path("/proc/sys", name).read_text("ascii").strip() not in ("", "0")
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class CgroupFacts:
    """Which limits the kernel's cgroups can enforce here."""

    version: str
    memory: bool = False
    swap: bool = False
    cpu_quota: bool = False
    cpu_shares: bool = False
    cpuset: bool = False
    pids: bool = False
    oom_kill_disable: bool = False

    def warnings(self) -> list[str]:
        """What is missing, in the words that ``docker info`` users know."""
        lacking = {
            "memory limit": self.memory,
            "swap limit": self.swap,
            "cpu cfs quota": self.cpu_quota,
            "cpu cfs period": self.cpu_quota,
            "cpu shares": self.cpu_shares,
            "cpuset": self.cpuset,
            "pids limit": self.pids,
        }
        return [f"WARNING: No {what} support" for what, there in lacking.items() if not there]


def cgroups(root: Path = _CGROUPS) -> CgroupFacts:
    """What the cgroup file systems mounted at *root* offer (cgroups(7))."""
    unified = root / "cgroup.controllers"
    if not unified.exists():
        return _legacy_cgroups(root)
    controllers = unified.read_text("ascii").split()
    memory, cpu = "memory" in controllers, "cpu" in controllers
    return CgroupFacts(
        version="2",
        memory=memory,
        # The root cgroup has no limits of its own, so the files are looked for one level below.
        swap=memory and any(root.glob("*/memory.swap.max")),
        cpu_quota=cpu,
        cpu_shares=cpu,
        cpuset="cpuset" in controllers,
        pids="pids" in controllers,
    )


def _legacy_cgroups(root: Path) -> CgroupFacts:
    def has(controller: str, file: str) -> bool:
        return (root / controller / file).exists()

    return CgroupFacts(
        version="1",
        memory=has("memory", "memory.limit_in_bytes"),
        swap=has("memory", "memory.memsw.limit_in_bytes"),
        cpu_quota=has("cpu", "cpu.cfs_quota_us") or has("cpu,cpuacct", "cpu.cfs_quota_us"),
        cpu_shares=has("cpu", "cpu.shares") or has("cpu,cpuacct", "cpu.shares"),
        cpuset=has("cpuset", "cpuset.cpus"),
        pids=has("pids", "cgroup.procs"),
        oom_kill_disable=has("memory", "memory.oom_control"),
    )


def security_options(cgroup_version: str) -> list[str]:
    """The protections that containers get here by default."""
    options = []
    if seccomp():
        options.append("name=seccomp,profile=builtin")
    if cgroup_version == "2":
        options.append("name=cgroupns")
    return options


def seccomp() -> bool:
    """Whether system call filters can be made: by the kernel, and by libseccomp."""
    status = Path("/proc/self/status").read_text("ascii", "replace")
    if "\nSeccomp:" not in status:
        return False
    return bool(_libraries("libseccomp.so.2"))


def _libraries(name: str) -> list[Path]:
    folders = ("/lib", "/usr/lib", "/lib64", "/usr/lib64")
    return [
        path
        for folder in folders
        for path in (Path(folder) / name, *Path(folder).glob(f"*-linux-gnu*/{name}"))
        if path.exists()
    ]
