"""Whether this computer can run local machines: every problem at once, each with its remedy."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pymachine.drivers.base import Finding
from pymachine.drivers.local import cgroups, host
from pymachine.drivers.local.images.catalog import Catalog
from pymachine.drivers.local.images.recipe import DEFAULT_IMAGE, how_to_get
from pymachine.drivers.local.layout import Layout
from pymachine.drivers.local.options import Options
from pymachine.drivers.local.subnets import Leases
from pymachine.machine.errors import InvalidOption, MachineError, MissingRequirement, PreCreateCheckFailed

PROGRAMS = ("systemd-nspawn", "ip", "iptables", "iptables-restore")
SCRATCH = ".pymachine-check-"
LEAST_FREE = 512 << 20
"""Bytes that a machine needs to boot and take the engine."""
TRY_OVERLAY = (
    "import ctypes,os,sys;c=ctypes.CDLL(None,use_errno=True);os.chdir(sys.argv[1]);"
    "[os.mkdir(d) for d in 'luwr'];"
    "s=c.unshare(0x20000) or c.mount(b'none',b'/',None,ctypes.c_ulong(0x44000),None)"
    " or c.mount(b'overlay',b'r',b'overlay',ctypes.c_ulong(0),b'lowerdir=l,upperdir=u,workdir=w');"
    "print(os.strerror(ctypes.get_errno())) if s else open('r/f','w')"
)
"""Mounts an overlay in a namespace of its own and writes to it; says why if that fails."""
TRY_SECONDS = 30


def check(options: Options, layout: Layout) -> None:
    """Raise `InvalidOption` for values that are wrong in themselves, else `PreCreateCheckFailed` with all
    that this computer lacks; makes nothing."""
    if wrong := options.problems():
        raise InvalidOption("; ".join(wrong))
    if sys.platform != "linux":
        raise PreCreateCheckFailed("the local driver needs Linux")
    if os.geteuid() != 0:
        raise PreCreateCheckFailed(
            "the local driver needs root: it makes mounts, cgroups and networks",
            hint="run the command with sudo, as in: sudo -E pymachine create -d local NAME",
        )
    if found := list(problems(options, layout)):
        hints = list(dict.fromkeys(problem.hint for problem in found if problem.hint))
        raise PreCreateCheckFailed("; ".join(map(str, found)), hint="; ".join(hints))


def findings(options: Options, layout: Layout) -> list[Finding]:
    """The same, for ``doctor``."""
    found = [Finding("problem", str(problem), problem.hint) for problem in problems(options, layout)]
    return found or [Finding("ok", "programs, image, cgroups, overlay mounts, disk space and network are as needed")]


def problems(options: Options, layout: Layout) -> Iterator[MachineError]:
    """All that this computer lacks, for root."""
    missing = [program for program in PROGRAMS if host.find(program) is None]
    yield from (host.missing(program) for program in dict.fromkeys(missing))
    yield from _image(options, layout)
    yield from _cgroups(options)
    yield from _disk(layout)
    for mount in options.mounts():
        if not os.path.exists(mount.source):
            yield InvalidOption(f"--local-mount: {mount.source} does not exist")
    if "ip" not in missing and (why := Leases(layout).check(options.network())):
        yield InvalidOption(why)
    if (most := os.cpu_count() or 1) < options.cpus:
        yield InvalidOption(f"--local-cpus: {options.cpus} is more than the {most} of this computer")


def _image(options: Options, layout: Layout) -> Iterator[MachineError]:
    name = options.image or DEFAULT_IMAGE
    image = Catalog(layout.images).find(name)
    if image is None:
        if not options.build_image:
            yield MissingRequirement(f'there is no image "{name}"', hint=how_to_get(name))
        elif host.find("mmdebstrap") is None:
            yield host.missing("mmdebstrap")
    elif why := Catalog(layout.images).damage(image):
        hint = how_to_get(next((known for known in image.names), name), anew=True)
        yield MissingRequirement(f'the image "{name}" is damaged: {why}', hint=hint)


def _cgroups(options: Options) -> Iterator[MachineError]:
    trees = cgroups.hierarchies()
    if not trees:
        yield MissingRequirement("no cgroup hierarchy is mounted in /sys/fs/cgroup")
    for tree in trees:
        if not os.access(tree.mount, os.W_OK) or os.statvfs(tree.mount).f_flag & os.ST_RDONLY:
            yield MissingRequirement(f"the cgroup hierarchy {tree.mount} is not writable")
    offered = {controller for tree in trees for controller in tree.controllers}
    for wanted, controller in ((options.memory_bytes(), "memory"), (options.cpus, "cpuset")):
        if wanted and controller not in offered:
            yield MissingRequirement(f"this computer has no {controller} cgroup controller to keep the limit")


def _disk(layout: Layout) -> Iterator[MachineError]:
    machines = layout.machines
    if wrong := next((path for path in (machines, *machines.parents) if path.exists() and not path.is_dir()), None):
        yield InvalidOption(f"PYMACHINE_LOCAL_ROOT: {wrong} is not a directory")
        return
    place = existing_parent(machines)
    free = shutil.disk_usage(place).free
    if free < LEAST_FREE:
        yield MissingRequirement(f"only {free >> 20} MiB are free in {place}; a machine needs {LEAST_FREE >> 20} MiB")
        return
    why = overlay_problem(place)
    if why:
        yield MissingRequirement(
            f"overlay mounts do not work in {place}: {why}",
            hint="set PYMACHINE_LOCAL_ROOT to a folder on ext4, xfs or btrfs",
        )


def existing_parent(path: Path) -> Path:
    """The nearest folder above that is there."""
    while not path.is_dir():
        path = path.parent
    return path


def sweep_scratch(place: Path) -> None:
    """Remove what checks left that were killed: nobody has the lock of theirs (`scratch`)."""
    for left in place.glob(f"{SCRATCH}*"):
        with contextlib.suppress(OSError), _opened(left) as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left)


@contextlib.contextmanager
def scratch(place: Path) -> Iterator[tuple[Path, int]]:
    """A folder, and the open file whose lock says that somebody uses it; a child may inherit it to say so on."""
    with contextlib.ExitStack() as stack:
        while True:
            path = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=place))
            stack.callback(shutil.rmtree, path, ignore_errors=True)
            with contextlib.suppress(FileNotFoundError):  # another check may have swept it up before it was locked
                handle = stack.enter_context(_opened(path))
                fcntl.flock(handle, fcntl.LOCK_SH)
                if path.exists():
                    break
        yield path, handle


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator[int]:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


def overlay_problem(place: Path) -> str:
    """Why the kernel will not mount an overlay whose upper layer is in *place*; empty when it will."""
    sweep_scratch(place)
    with scratch(place) as (path, lock):
        command = [sys.executable, "-I", "-S", "-c", TRY_OVERLAY, str(path)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=TRY_SECONDS, pass_fds=(lock,)
            )
        except subprocess.TimeoutExpired:
            return f"no answer within {TRY_SECONDS} s"
    return done.stdout.strip() or host.last_line(done.stderr) * bool(done.returncode)
