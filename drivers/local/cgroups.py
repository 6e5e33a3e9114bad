"""A machine's own cgroup in every hierarchy, v1 controllers and v2 tree alike.

systemd-nspawn is started inside and makes the machine's cgroups below, so limits set here hold for the whole
machine whatever is done in it. Sources: cgroups(7), the kernel's cgroup-v1 and cgroup-v2 documents.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pymachine.drivers.local import mounts
from pymachine.machine.errors import DriverError

V1_CONTROLLERS = frozenset(
    ("blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "hugetlb", "memory")
    + ("net_cls", "net_prio", "perf_event", "pids", "rdma", "misc")
)
WANTED_V2 = ("cpuset", "cpu", "io", "memory", "pids")


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A mounted cgroup tree."""

    mount: Path
    version: int
    controllers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a machine may use; 0 and empty for everything."""

    memory: int = 0
    """Bytes."""
    cpus: str = ""
    """CPU numbers as cpuset(7) writes lists."""


def hierarchies(text: str | None = None) -> list[Hierarchy]:
    """The mounted trees, each once."""
    found: dict[Path, Hierarchy] = {}
    for mounted in mounts.table(text):
        path = Path(mounted.target)
        if mounted.kind == "cgroup":
            found[path] = Hierarchy(path, 1, mounted.options & V1_CONTROLLERS)
        elif mounted.kind == "cgroup2":
            found[path] = Hierarchy(path, 2, _v2_controllers(path))
    return list(found.values())


def _v2_controllers(mount: Path) -> frozenset[str]:
    try:
        return frozenset((mount / "cgroup.controllers").read_text().split())
    except OSError:
        return frozenset()


def directories(name: str, trees: Iterable[Hierarchy]) -> list[Path]:
    """A machine's cgroup in each tree."""
    return [tree.mount / name for tree in trees]


def create(name: str, limits: Limits, *, beside_systemd: bool = False) -> list[Path]:
    """Make the cgroups and set the limits; returns the directories for the supervisor to enter.

    *beside_systemd* leaves the v2 tree and v1's ``name=systemd`` to systemd, with their limits.
    Raises `DriverError` when a limit was asked for and no controller can keep it.
    """
    trees = [tree for tree in hierarchies() if not beside_systemd or (tree.version == 1 and tree.controllers)]
    for tree in trees:
        if tree.version == 2:
            _delegate(tree)
        (tree.mount / name).mkdir(exist_ok=True)
        if "cpuset" in tree.controllers and tree.version == 1:
            _inherit_cpuset(tree.mount, tree.mount / name)
    offered = {controller for tree in trees for controller in tree.controllers}
    if limits.memory and not (beside_systemd and "memory" not in offered):
        _limit(trees, name, "memory", ("memory.limit_in_bytes", "memory.max"), str(limits.memory))
    if limits.cpus and not (beside_systemd and "cpuset" not in offered):
        _limit(trees, name, "cpuset", ("cpuset.cpus", "cpuset.cpus"), limits.cpus)
    return directories(name, trees)


def _delegate(tree: Hierarchy) -> None:
    """Let children of the v2 root have controllers; one that cannot be given is missed when it is needed."""
    for controller in WANTED_V2:
        if controller in tree.controllers:
            try:
                (tree.mount / "cgroup.subtree_control").write_text(f"+{controller}")
            except OSError:
                continue


def _inherit_cpuset(parent: Path, child: Path) -> None:
    """A v1 cpuset starts empty and takes no process until it is filled."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        (child / name).write_text((parent / name).read_text())


def _limit(trees: list[Hierarchy], name: str, controller: str, files: tuple[str, str], value: str) -> None:
    for tree in trees:
        if controller in tree.controllers:
            try:
                (tree.mount / name / files[tree.version - 1]).write_text(value)
                return
            except OSError as error:
                raise DriverError(f"cannot limit {controller} to {value}: {error.strerror}") from error
    raise DriverError(f"cannot limit {controller}: this computer has no such cgroup controller")


def members(name: str) -> set[int]:
    """The processes in a machine's cgroups, at any depth."""
    found: set[int] = set()
    for top in directories(name, hierarchies()):
        for directory, _, _ in os.walk(top):
            try:
                found.update(map(int, Path(directory, "cgroup.procs").read_text().split()))
            except OSError:
                continue
    return found


def remove(name: str, *, seconds: float = 10.0) -> None:
    """Kill what is left in a machine's cgroups and remove them; fine when there are none.

    The kernel frees a cgroup a moment after its last process, so removal is tried until it works. Raises
    `DriverError` when it does not within *seconds*.
    """
    deadline = time.monotonic() + seconds
    while remaining := [path for path in directories(name, hierarchies()) if path.exists()]:
        for pid in members(name) - {os.getpid()}:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for path in remaining:
            _remove_tree(path)
        if not any(path.exists() for path in remaining):
            return
        if time.monotonic() > deadline:
            raise DriverError(f"cannot remove the cgroup {remaining[0]}: processes {sorted(members(name))} stay in it")
        time.sleep(0.01)


def _remove_tree(top: Path) -> None:
    for directory, _, _ in os.walk(top, topdown=False):
        try:
            os.rmdir(directory)
        except OSError:
            continue
