"""What a running container uses, from its control groups and its network (``docker stats``).

Sources: Documentation/admin-guide/cgroup-v1/{memory,cpuacct,blkio-controller}.rst and cgroup-v2.rst, proc(5).
The folders are found through /proc/<pid>/cgroup, so both versions and any parent group work.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from pymachine.engine.containers.times import stamp
from pymachine.engine.runtime.cgroups import hierarchies

_TICK = os.sysconf("SC_CLK_TCK")
_UNLIMITED = 2**62


def cgroup_folder(pid: int, controller: str) -> Path | None:
    """The control group folder of *pid* for *controller* (version 1), or its only one (version 2)."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return None
    found = hierarchies()
    for line in lines:
        _, names, path = line.split(":", 2)
        if controller in names.split(",") and controller in found.legacy:
            return Path(found.legacy[controller] + path)
    if not found.legacy and found.unified:
        unified = next((line.split(":", 2)[2] for line in lines if line.startswith("0::")), None)
        return None if unified is None else Path(found.unified + unified)
    return None


def _number(folder: Path | None, *names: str) -> int:
    """The first of the files that holds a number; 0 for none."""
    for name in names:
        try:
            text = (folder / name).read_text().strip() if folder else ""
            return _UNLIMITED if text == "max" else int(text)
        except (OSError, ValueError):
            continue
    return 0


def _fields(folder: Path | None, name: str) -> dict[str, int]:
    try:
        lines = (folder / name).read_text().splitlines() if folder else []
        return {key: int(value) for key, _, value in (line.partition(" ") for line in lines)}
    except (OSError, ValueError):
        return {}


def cpu(pid: int) -> dict[str, Any]:
    """``cpu_stats``."""
    v1, v2 = cgroup_folder(pid, "cpuacct"), _fields(cgroup_folder(pid, "cpu"), "cpu.stat")
    total = _number(v1, "cpuacct.usage") or v2.get("usage_usec", 0) * 1000
    kernel = _fields(v1, "cpuacct.stat").get("system", 0) * (10**9 // _TICK) or v2.get("system_usec", 0) * 1000
    return {
        "cpu_usage": {
            "total_usage": total,
            "usage_in_kernelmode": kernel,
            "usage_in_usermode": max(total - kernel, 0),
        },
        "system_cpu_usage": _system_cpu(),
        "online_cpus": os.cpu_count() or 1,
        "throttling_data": {
            "periods": v2.get("nr_periods", 0),
            "throttled_periods": v2.get("nr_throttled", 0),
            "throttled_time": v2.get("throttled_time", v2.get("throttled_usec", 0) * 1000),
        },
    }


def _system_cpu() -> int:
    """Nanoseconds of CPU time of the whole computer: user to steal, since guest time is part of user."""
    with open("/proc/stat") as file:
        return sum(map(int, file.readline().split()[1:9])) * (10**9 // _TICK)


def memory(pid: int) -> dict[str, Any]:
    """``memory_stats``."""
    folder = cgroup_folder(pid, "memory")
    stats = _fields(folder, "memory.stat")
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    view: dict[str, Any] = {
        "usage": _number(folder, "memory.usage_in_bytes", "memory.current"),
        "limit": min(_number(folder, "memory.limit_in_bytes", "memory.max") or total, total),
        "stats": stats,
    }
    if peak := _number(folder, "memory.max_usage_in_bytes"):
        view["max_usage"] = peak
    return view


def pids(pid: int) -> dict[str, int]:
    """``pids_stats``."""
    folder = cgroup_folder(pid, "pids")
    limit = _number(folder, "pids.max")
    view = {"current": _number(folder, "pids.current")}
    return view if limit in (0, _UNLIMITED) else {**view, "limit": limit}


def networks(pid: int) -> dict[str, dict[str, int]]:
    """``networks``: the counters of every interface but the loopback."""
    found = {}
    try:
        lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    except OSError:
        return {}
    for line in lines:
        name, _, rest = line.partition(":")
        values = [int(value) for value in rest.split()]
        if name.strip() != "lo":
            found[name.strip()] = {
                "rx_bytes": values[0], "rx_packets": values[1], "rx_errors": values[2], "rx_dropped": values[3],
                "tx_bytes": values[8], "tx_packets": values[9], "tx_errors": values[10], "tx_dropped": values[11],
            }  # fmt: skip
    return found


def blkio(pid: int) -> dict[str, Any]:
    """``blkio_stats``."""
    folder = cgroup_folder(pid, "blkio")
    bytes_moved = _operations(folder, "blkio.throttle.io_service_bytes")
    served = _operations(folder, "blkio.throttle.io_serviced")
    if folder is not None and not bytes_moved:
        bytes_moved, served = _io_stat(folder)
    return {"io_service_bytes_recursive": bytes_moved or None, "io_serviced_recursive": served or None}


def _operations(folder: Path | None, name: str) -> list[dict[str, Any]]:
    try:
        lines = (folder / name).read_text().splitlines() if folder else []
    except OSError:
        return []
    rows = [line.split() for line in lines]
    return [_operation(row[0], row[1], int(row[2])) for row in rows if len(row) == 3]


def _io_stat(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    moved, served = [], []
    try:
        lines = (folder / "io.stat").read_text().splitlines()
    except OSError:
        return [], []
    for line in lines:
        device, *pairs = line.split()
        values = {key: int(value) for key, _, value in (pair.partition("=") for pair in pairs) if value.isdigit()}
        moved += [_operation(device, op, values.get(key, 0)) for op, key in (("read", "rbytes"), ("write", "wbytes"))]
        served += [_operation(device, op, values.get(key, 0)) for op, key in (("read", "rios"), ("write", "wios"))]
    return moved, served


def _operation(device: str, op: str, value: int) -> dict[str, Any]:
    major, _, minor = device.partition(":")
    return {"major": int(major), "minor": int(minor), "op": op.lower(), "value": value}


def sample(pid: int, container_id: str, name: str) -> dict[str, Any]:
    """One sample of everything, as ``GET /containers/{id}/stats`` sends it. Blocks briefly."""
    return {
        "read": stamp(time.time()),
        "preread": stamp(0),
        "pids_stats": pids(pid),
        "blkio_stats": blkio(pid),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": cpu(pid),
        "precpu_stats": {"cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
                         "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0}},
        "memory_stats": memory(pid),
        "name": f"/{name}",
        "id": container_id,
        "networks": networks(pid),
    }  # fmt: skip
