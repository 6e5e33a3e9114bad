"""What the container's first process does between its birth and its program.

It is forked by the shim into new namespaces and talks to it over a SOCK_SEQPACKET pair, the *channel*:

    shim                                first process
      │ clone(pid, mount, uts, ipc, net)  │
      │ makes the control group and moves │ mounts the root
      │ the process into it               │
      │ {"grouped": true}                 │
      │ ────────────────────────────────▶ │ mounts all else
      │            {"console": true} + fd │ (with a terminal: its master)
      │ ◀──────────────────────────────── │
      │ {"go": true}                      │ (the daemon has attached the network)
      │ ────────────────────────────────▶ │
      │                                   │ sysctls, masked paths, identity, privileges
      │    {"exec": true, "warnings": […]}│
      │ ◀──────────────────────────────── │
      │                               end │ execve closes the channel: it runs
      │ ◀──────────────────────────────── │
      │         or {"error": …, "code": n}│ at any point: it doesn't

An end without ``exec`` before it means that the process died on the way (killed for memory, say).
Everything this process touches is its own copy, which execve throws away: the shim stays small.
"""

from __future__ import annotations

import os

from pymachine.engine.runtime import cgroups, dev, inroot, mounts, program, rootfs, wire
from pymachine.engine.runtime import syscalls as sys_
from pymachine.engine.runtime.channel import GO, GROUPED, prefix_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable
    from typing import NoReturn

    from pymachine.engine.runtime.spec import ContainerSpec, Namespaces, Process

CLONE_FLAGS = {
    "pid": sys_.CLONE_NEWPID,
    "net": sys_.CLONE_NEWNET,
    "ipc": sys_.CLONE_NEWIPC,
    "uts": sys_.CLONE_NEWUTS,
}
DEFAULT_DEVICE_RULES = (
    "c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm",
    "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm",
)  # fmt: skip


def private_flags(namespaces: Namespaces) -> int:
    """clone(2)'s flags for the namespaces that are to be new; the mount namespace always is."""
    flags = sys_.CLONE_NEWNS
    for kind, flag in CLONE_FLAGS.items():
        if getattr(namespaces, kind) == "private":
            flags |= flag
    return flags


def run(
    spec: ContainerSpec, bpf: str, channel: socket, streams: tuple[int, int, int] | None
) -> NoReturn:  # pragma: no cover - runs in a forked process
    """Be the container's first process; never returns."""
    end_with_report(channel, "create", lambda: _set_up(spec, bpf, channel, streams))


def end_with_report(channel: socket, stage: str, action: Callable[[], None]) -> NoReturn:
    """Run *action*, which should not return, and report what went wrong when it does; then exit."""
    prefix = prefix_of(stage)
    try:
        action()
        message, code = f"{prefix}: it ended early", program.NOT_STARTED
    except program.Failure as error:
        message, code = str(error), error.code
        if not message.startswith("unable to find"):
            message = f"{prefix}: {message}: unknown"
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        message, code = f"{prefix}: {(error.strerror or str(error)).lower()}{place}: unknown", program.NOT_STARTED
    except BaseException as error:  # noqa: B036 - whatever it is, the shim must hear of it
        message, code = f"{prefix}: {error}: unknown", program.NOT_STARTED
    try:
        wire.send_packet(channel, {"error": message, "code": code})
    finally:
        os._exit(code)


def _set_up(spec: ContainerSpec, bpf: str, channel: socket, streams: tuple[int, int, int] | None) -> None:
    sys_.prctl(sys_.PR_SET_DUMPABLE, 0)  # the container must not look into this process before its program runs
    os.umask(0)
    program_filter = read_filter(bpf)
    _join_namespaces(spec.namespaces)
    _set_names(spec)
    shared = mounts.open_shared(spec)
    rootfs.isolate()
    root = rootfs.mount_root(spec.rootfs, f"{spec.bundle}/root")
    _enter_cgroup_namespace(spec, channel)
    _furnish(root, spec, shared)
    rootfs.enter(root)
    os.close(root)
    if spec.process.tty:
        slave = _open_console(spec.process, channel)
    if wire.receive_packet(channel)[0] != GO:
        os._exit(program.NOT_STARTED)
    _set_sysctls(spec.sysctls)
    _shut(spec)
    if spec.init:
        _fork_init(channel)
    if spec.process.tty:
        program.take_terminal(slave)
    else:
        os.setsid()
    start_program(spec.process, program_filter, channel, streams)


def start_program(process: Process, bpf: bytes, channel: socket, streams: tuple[int, int, int] | None) -> NoReturn:
    """Become *process*'s program, leaving no descriptor but the three standard ones."""
    identity, warnings = program.prepare(process, streams)
    os.umask(0o022)
    fd = channel.fileno()
    sys_.close_range(3, fd - 1)
    sys_.close_range(fd + 1, 2**32 - 1)
    wire.send_packet(channel, {"exec": True, "warnings": warnings})
    program.become(process, identity, bpf)


def read_filter(path: str) -> bytes:
    """The compiled seccomp filter in the host's file *path*; empty when the name is."""
    if not path:
        return b""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, os.fstat(fd).st_size)
    finally:
        os.close(fd)


def _enter_cgroup_namespace(spec: ContainerSpec, channel: socket) -> None:
    """Make the control group that the shim has put this process into the root of what it sees."""
    if wire.receive_packet(channel)[0] != GROUPED:
        os._exit(program.NOT_STARTED)
    if spec.cgroup and spec.namespaces.cgroup == "private":
        sys_.unshare(sys_.CLONE_NEWCGROUP)


def device_rules(spec: ContainerSpec) -> tuple[str, ...] | None:
    """What the container may do with which devices; ``None`` for everything with all."""
    if spec.all_devices:
        return None
    rules = [*DEFAULT_DEVICE_RULES, *spec.device_cgroup_rules]
    for device in spec.devices:
        found = os.stat(device.path_on_host)
        kind = "b" if found.st_mode & 0o170000 == 0o060000 else "c"
        number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
        rules.append(f"{kind} {number} {device.permissions or 'rwm'}")
    return tuple(dict.fromkeys(rules))


def _join_namespaces(namespaces: Namespaces) -> None:
    """Join those named by a path; that of pids was joined by the shim, for it takes effect on children."""
    for kind in ("net", "ipc", "uts", "cgroup"):
        path = getattr(namespaces, kind)
        if path.startswith("/"):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                sys_.setns(fd, 0)
            except OSError as error:
                raise OSError(error.errno, error.strerror, path) from None
            finally:
                os.close(fd)


def _set_names(spec: ContainerSpec) -> None:
    if spec.namespaces.uts != "private":
        return
    if spec.hostname:
        sys_.sethostname(spec.hostname)
    if spec.domainname:
        sys_.setdomainname(spec.domainname)


def _furnish(root: int, spec: ContainerSpec, shared: dict[str, int]) -> None:
    """Mount what belongs below the root, and fill /dev where it is the container's own."""
    for mount in spec.mounts:
        mounts.make(root, mount, spec, shared)
        if mount.destination == "/dev" and mount.type == "tmpfs":
            dev.populate(root)
    for device in spec.devices:
        dev.add_device(root, device)
    if spec.all_devices:
        dev.add_all_devices(root)
    if spec.process.cwd not in ("", "/"):
        try:
            os.close(inroot.ensure_folder(root, spec.process.cwd))
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise program.Failure(f'mkdir "{spec.process.cwd}": {reason}', program.NOT_EXECUTABLE) from None


def _open_console(process: Process, channel: socket) -> int:
    master, slave = dev.open_terminal(process.console_size)
    dev.mount_console(slave)
    wire.send_packet(channel, {"console": True}, master)
    os.close(master)
    return slave


def _set_sysctls(sysctls: tuple[tuple[str, str], ...]) -> None:
    for name, value in sysctls:
        path = "/proc/sys/" + name.replace(".", "/")
        if "/../" in f"{path}/" or "//" in path:
            raise program.Failure(f"sysctl {name!r} is not a name")
        try:
            cgroups.write(path, value)
        except OSError as error:
            raise program.Failure(f"sysctl {name}={value}: {(error.strerror or '').lower()}") from None


def _shut(spec: ContainerSpec) -> None:
    if spec.read_only:
        rootfs.make_read_only()
    for path in spec.readonly_paths:
        rootfs.protect(path)
    for path in spec.masked_paths:
        rootfs.mask(path)


def _fork_init(channel: socket) -> None:
    """Stay as the small init, and go on in the child."""
    from pymachine.engine.runtime import smallinit

    sys_.sigprocmask(sys_.SIG_BLOCK, smallinit.SIGNALS)
    pid = os.fork()
    if pid:
        sys_.close_range(channel.fileno(), channel.fileno())
        smallinit.run(pid)
