"""Builds what the runtime runs from what the user asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.engine.containers import devices, etc, limits, namespaces, process, security
from pymachine.engine.containers.model import Container, MountPoint
from pymachine.engine.containers.options import Options, log_spec
from pymachine.engine.runtime.spec import ContainerSpec, Mount, Process, Rootfs

_SYSCTL_IPC = ("kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax",
               "kernel.shmmni", "kernel.shm_rmid_forced")  # fmt: skip


def build(container: Container, rootfs: Rootfs, folder: Path, options: Options, find: namespaces.Find) -> ContainerSpec:
    """The specification for a start. *folder* is the container's own directory."""
    host, spaces = container.host_config, namespaces.namespaces(container, find)
    guard = security.options(host.get("SecurityOpt") or (), privileged=bool(host.get("Privileged")))
    masked, readonly = security.paths(host, guard)
    log = host.get("LogConfig") or {}
    return ContainerSpec(
        id=container.id,
        bundle=str(bundle(options, container.id)),
        rootfs=rootfs,
        process=first_process(container, options),
        hostname="" if spaces.uts == "host" else etc.hostname(container),
        domainname="" if spaces.uts == "host" else str(container.config.get("Domainname") or ""),
        read_only=bool(host.get("ReadonlyRootfs")),
        mounts=tuple(_mounts(container, folder, options, find)),
        masked_paths=masked,
        readonly_paths=readonly,
        devices=devices.devices(host.get("Devices") or ()),
        device_cgroup_rules=devices.cgroup_rules(host.get("DeviceCgroupRules") or ()),
        all_devices=bool(host.get("Privileged")),
        namespaces=spaces,
        resources=limits.resources(host),
        cgroup=f"{(host.get('CgroupParent') or options.cgroup_parent).strip('/')}/{container.id}",
        sysctls=tuple(sysctls(host.get("Sysctls") or {}, host_network=spaces.net != "private").items()),
        init=options.init if host.get("Init") is None else bool(host["Init"]),
        log=log_spec(log.get("Type") or options.log_driver, log.get("Config") or {}, str(folder / "log")),
        open_stdin=bool(container.config.get("OpenStdin")),
        stdin_once=bool(container.config.get("StdinOnce")),
    )


def bundle(options: Options, container_id: str) -> Path:
    """The run-time directory of a container."""
    return options.exec_root / "containers" / container_id


def first_process(container: Container, options: Options) -> Process:
    """The container's first process."""
    config, host = container.config, container.host_config
    privileged = bool(host.get("Privileged"))
    guard = security.options(host.get("SecurityOpt") or (), privileged=privileged)
    rows, columns = (host.get("ConsoleSize") or (0, 0))[:2]
    return Process(
        args=process.arguments(config),
        env=process.environment(config, etc.hostname(container)),
        cwd=config.get("WorkingDir") or "/",
        user=config.get("User") or "",
        additional_groups=tuple(host.get("GroupAdd") or ()),
        tty=container.tty,
        console_size=(int(rows), int(columns)),
        capabilities=security.capabilities(host.get("CapAdd") or (), host.get("CapDrop") or (), privileged=privileged),
        no_new_privileges=guard.no_new_privileges,
        seccomp=guard.seccomp,
        rlimits=limits.rlimits(host.get("Ulimits") or (), options.ulimits),
        oom_score_adj=host.get("OomScoreAdj") or None,
    )


def sysctls(given: Mapping[str, str], *, host_network: bool) -> dict[str, str]:
    """Docker's default settings and the request's; raises `InvalidArgument` for ones that touch the host."""
    for name in given:
        own = name in _SYSCTL_IPC or name.startswith("fs.mqueue.") or name in ("kernel.domainname", "kernel.hostname")
        if not own and not (name.startswith("net.") and not host_network):
            raise InvalidArgument(f'sysctl "{name}" is not in a separate kernel namespace')
        if any(part in ("", "..") or "/" in part for part in name.split(".")):
            raise InvalidArgument(f'invalid sysctl "{name}"')
    defaults = {} if host_network else {
        "net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647",
    }  # fmt: skip
    return {**defaults, **given}


def _mounts(container: Container, folder: Path, options: Options, find: namespaces.Find) -> Iterator[Mount]:
    """System mounts, the files of /etc, then the user's, which may replace any of them."""
    points = container.mounts
    taken = {point.destination for point in points}
    system = [*_system(container, options, find), *_etc_files(container, folder, find)]
    for mount in system:
        if mount.destination not in taken:
            yield mount
    for point in points:
        yield _user_mount(point)


def _system(container: Container, options: Options, find: namespaces.Find) -> Iterable[Mount]:
    privileged = bool(container.host_config.get("Privileged"))
    guarded = ("nosuid", "noexec", "nodev")
    system = guarded if privileged else (*guarded, "ro")
    yield Mount("/proc", "proc", "proc", guarded)
    yield Mount("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k"))
    yield Mount("/dev/pts", "devpts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620",
                                                 "gid=5"))  # fmt: skip
    yield Mount("/sys", "sysfs", "sysfs", system)
    yield Mount("/sys/fs/cgroup", "cgroup", "cgroup", system)
    yield Mount("/dev/mqueue", "mqueue", "mqueue", guarded)  # of the IPC namespace it is in, the host's too
    yield from _shm(container, options, find)


def _shm(container: Container, options: Options, find: namespaces.Find) -> Iterator[Mount]:
    mode, guarded = container.host_config.get("IpcMode") or "private", ("nosuid", "noexec", "nodev")
    if mode == "none":
        return
    if mode == "host":
        yield Mount("/dev/shm", "bind", "/dev/shm", ("rbind", *guarded))
    elif mode == "shareable" or namespaces.joined(mode):
        owner = find(namespaces.joined(mode)).id if namespaces.joined(mode) else container.id
        yield Mount("/dev/shm", "bind", str(shared_memory(options, owner)), ("rbind", *guarded))
    else:
        size = container.host_config.get("ShmSize") or options.shm_size
        yield Mount("/dev/shm", "tmpfs", "shm", (*guarded, "mode=1777", f"size={size}"))


def shared_memory(options: Options, container_id: str) -> Path:
    """The directory behind ``/dev/shm`` of a container whose IPC namespace others may join.

    It lies on the exec root's file system (a tmpfs on real hosts), since a container's own tmpfs cannot be
    mounted from another mount namespace.
    """
    return options.exec_root / "shm" / container_id


def _etc_files(container: Container, folder: Path, find: namespaces.Find) -> Iterator[Mount]:
    if reference := namespaces.joined(container.network_mode):
        # A shared network stack has one set of names: the other container's files.
        folder = folder.parent / find(reference).id
    for name in etc.FILES:
        yield Mount(f"/etc/{name}", "bind", str(folder / name), ("rbind", "rprivate"))


def _user_mount(point: MountPoint) -> Mount:
    if point.type == "tmpfs":
        return Mount(point.destination, "tmpfs", "tmpfs", point.options)
    access = ("ro",) if point.read_only else ()
    kind = "bind" if "nonrecursive" in point.options else "rbind"
    return Mount(point.destination, "bind", point.source, (kind, point.propagation or "rprivate", *access))
