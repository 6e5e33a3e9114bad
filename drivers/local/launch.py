"""Start a machine's processes: what systemd-nspawn is told, and who starts it.

Where systemd is process 1 it is asked to (a transient unit with delegation), because a process started from a
login session may be ended with that session. Elsewhere we start it, in a session of its own.
Sources: systemd-nspawn(1), systemd-run(1), sd_booted(3).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pymachine.drivers.local import cgroups, host, jsonfile
from pymachine.drivers.local import supervisor as program
from pymachine.drivers.local.inotify import make_room
from pymachine.drivers.local.layout import MachinePaths, short_name
from pymachine.drivers.local.options import Mount
from pymachine.machine.errors import DeadlineExceeded, DriverError

ENGINE_DATA = "/var/lib/pyengine"
OPTIONAL_DEVICES = ("/dev/fuse", "/dev/net/tun")
SYSTEM_CALLS = "@keyring @memlock @pkey @sandbox bpf perf_event_open io_uring_setup io_uring_enter io_uring_register"
"""Allowed besides nspawn's own list: what container engines and runtimes call."""
NSPAWN_ENVIRONMENT = {
    "SYSTEMD_NSPAWN_LOCK": "0",  # we know who runs on a directory; the lock files would stay
    "SYSTEMD_NSPAWN_TMPFS_TMP": "0",  # /tmp on disk as on other hosts, not in memory
    "LC_ALL": "C.UTF-8",
}


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything a start depends on."""

    machine_id: str
    paths: MachinePaths
    image_root: Path
    """The image's rootfs."""
    bridge: str
    limits: cgroups.Limits
    mounts: list[Mount]


def booted_with_systemd() -> bool:
    """Whether systemd is this computer's process 1 (sd_booted(3))."""
    return Path("/run/systemd/system").is_dir()


def unit_name(machine_id: str) -> str:
    """The transient unit's name."""
    return f"pymachine-local-{machine_id}.service"


def cgroup_name(machine_id: str) -> str:
    """The name of the machine's cgroups."""
    return f"pymachine-local-{machine_id}"


def nspawn_argv(launch: Launch) -> list[str]:
    """The command line; the directory is relative to the machine's folder."""
    nspawn = host.find("systemd-nspawn")
    if nspawn is None:
        raise host.missing("systemd-nspawn")
    binds = [Mount(str(launch.paths.data / "pyengine"), ENGINE_DATA)]
    binds += [Mount(str(launch.paths.resolv_conf), "/etc/resolv.conf", read_only=True)]
    binds += [Mount(device, device) for device in OPTIONAL_DEVICES if os.path.exists(device)]
    return [
        nspawn,
        "--quiet",
        "--boot",
        "--settings=no",
        "--directory=root",
        f"--machine={short_name(launch.machine_id)}",
        "--register=no",
        "--keep-unit",
        "--capability=all",
        f"--system-call-filter={SYSTEM_CALLS}",
        "--network-veth",
        f"--network-bridge={launch.bridge}",
        "--link-journal=no",
        "--resolv-conf=off",
        "--console=read-only",
        *[_bind(mount) for mount in [*binds, *launch.mounts]],
    ]


def _bind(mount: Mount) -> str:
    """``rbind`` is nspawn's default; colons and backslashes in paths are escaped."""
    source, target = (path.replace("\\", "\\\\").replace(":", "\\:") for path in (mount.source, mount.target))
    return f"--bind{'-ro' if mount.read_only else ''}={source}:{target}"


@contextlib.contextmanager
def right_to_start(paths: MachinePaths, running: Callable[[], bool], deadline: float) -> Iterator[int | None]:
    """The machine's start lock, or ``None`` when it is running already.

    The lock passes on to the machine's process. So a start whose driver was killed half-way is waited for, and
    no second one can run over the same layer. Raises `DeadlineExceeded` at *deadline* (`time.monotonic`).
    """
    handle = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    began = time.monotonic()
    try:
        while not running():
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    hint = "pymachine kill NAME ends whatever is left of it"
                    stage = "waiting for another start of the machine"
                    raise DeadlineExceeded(stage, time.monotonic() - began, look_at=hint) from None
                time.sleep(0.01)
            else:
                break
        yield None if running() else handle
    finally:
        os.close(handle)


def starting(paths: MachinePaths) -> bool:
    """Whether somebody holds the start lock."""
    try:
        handle = os.open(paths.lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(handle)


def start(launch: Launch, lock: int) -> None:
    """Start the machine under its start lock; when this returns its process is noted in the pid file.

    Raises `DriverError` with the end of the console log.
    """
    paths = launch.paths
    for directory in (paths.work, paths.root, paths.data / "pyengine"):
        directory.mkdir(mode=0o711, parents=True, exist_ok=True)
    paths.pid.unlink(missing_ok=True)
    if paths.console.exists():
        os.replace(paths.console, f"{paths.console}.1")
    make_room(sum(1 for _ in paths.directory.parent.iterdir()))
    by_systemd = booted_with_systemd()
    entered = cgroups.create(cgroup_name(launch.machine_id), launch.limits, beside_systemd=by_systemd)
    plan = {
        "argv": nspawn_argv(launch),
        "env": {**NSPAWN_ENVIRONMENT, "PATH": host.SEARCH_PATH},
        "lower": str(launch.image_root),
        "console": paths.console.name,
        "pid_file": paths.pid.name,
        "cgroups": [str(path) for path in entered],
        "lock": -1 if by_systemd else lock,
    }
    jsonfile.write(paths.launch, plan)
    command = [sys.executable, "-I", "-S", str(Path(program.__file__).resolve()), str(paths.launch)]
    status = _by_systemd(launch, command) if by_systemd else _by_ourselves(command, lock)
    if status or not paths.pid.exists():
        raise DriverError(f"the machine did not start: {console_end(paths)}")


def _by_ourselves(command: list[str], lock: int) -> int:
    """In a session of its own, with none of our descriptors but the lock."""
    nothing = subprocess.DEVNULL
    return subprocess.run(
        command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True, pass_fds=(lock,)
    ).returncode


def _by_systemd(launch: Launch, command: list[str]) -> int:
    properties = ["Type=forking", f"PIDFile={launch.paths.pid}.number", "Delegate=yes", "KillMode=mixed"]
    properties += ["DevicePolicy=auto", "TasksMax=infinity", "LimitNOFILE=1048576"]
    if launch.limits.memory:
        properties.append(f"MemoryMax={launch.limits.memory}")
    if launch.limits.cpus:
        properties += [f"AllowedCPUs={launch.limits.cpus}", f"CPUQuota={100 * count(launch.limits.cpus)}%"]
    unit = unit_name(launch.machine_id)
    host.run(["systemctl", "reset-failed", unit], check=False)
    flags = [f"--property={value}" for value in properties]
    return host.run(["systemd-run", "--quiet", "--collect", f"--unit={unit}", *flags, *command], check=False).returncode


def sweep_unit(machine_id: str) -> None:
    """End a unit whose processes we lost sight of; where there is none this does nothing."""
    if booted_with_systemd():
        unit = unit_name(machine_id)
        if host.run(["systemctl", "kill", "--signal=KILL", unit], check=False).returncode == 0:
            host.run(["systemctl", "stop", unit], check=False)


def count(cpus: str) -> int:
    """How many CPUs a list like ``0-2,5`` names."""
    total = 0
    for part in cpus.split(","):
        first, _, last = part.partition("-")
        total += int(last or first) - int(first) + 1
    return total


def console_end(paths: MachinePaths, lines: int = 5) -> str:
    """The end of the console log as one line, without colours."""
    try:
        with open(paths.console, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 8192))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return "no console log"
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[^\x20-\x7e\n]", "", text)
    said = [line.strip() for line in plain.splitlines() if line.strip()]
    return " | ".join(said[-lines:]) or "empty console log"
