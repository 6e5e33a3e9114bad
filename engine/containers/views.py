"""``docker inspect``: a container as the Engine API shows it (API 1.47)."""

from __future__ import annotations

from typing import Any

from pymachine.dockerapi.errors import Conflict
from pymachine.engine.containers import sandboxes, security
from pymachine.engine.containers.context import Context
from pymachine.engine.containers.model import Container, MountPoint
from pymachine.engine.containers.state import Status
from pymachine.engine.containers.times import stamp
from pymachine.engine.runtime.spec import Rootfs

_HOST_DEFAULTS: dict[str, Any] = {
    "Binds": None, "ContainerIDFile": "", "PortBindings": {}, "AutoRemove": False, "VolumeDriver": "",
    "VolumesFrom": None, "ConsoleSize": [0, 0], "CapAdd": None, "CapDrop": None, "Dns": [], "DnsOptions": [],
    "DnsSearch": [], "ExtraHosts": None, "GroupAdd": None, "Cgroup": "", "Links": None, "OomScoreAdj": 0,
    "PidMode": "", "Privileged": False, "PublishAllPorts": False, "ReadonlyRootfs": False, "SecurityOpt": None,
    "UTSMode": "", "UsernsMode": "", "Runtime": "pyengine", "Isolation": "", "CpuShares": 0, "Memory": 0,
    "NanoCpus": 0, "CgroupParent": "", "BlkioWeight": 0, "BlkioWeightDevice": [], "BlkioDeviceReadBps": [],
    "BlkioDeviceWriteBps": [], "BlkioDeviceReadIOps": [], "BlkioDeviceWriteIOps": [], "CpuPeriod": 0,
    "CpuQuota": 0, "CpuRealtimePeriod": 0, "CpuRealtimeRuntime": 0, "CpusetCpus": "", "CpusetMems": "",
    "Devices": [], "DeviceCgroupRules": None, "DeviceRequests": None, "MemoryReservation": 0, "MemorySwap": 0,
    "MemorySwappiness": None, "OomKillDisable": None, "PidsLimit": None, "Ulimits": None, "CpuCount": 0,
    "CpuPercent": 0, "IOMaximumIOps": 0, "IOMaximumBandwidth": 0,
}  # fmt: skip
_CONFIG_DEFAULTS: dict[str, Any] = {
    "Hostname": "", "Domainname": "", "User": "", "AttachStdin": False, "AttachStdout": False, "AttachStderr": False,
    "Tty": False, "OpenStdin": False, "StdinOnce": False, "Env": [], "Cmd": None, "Image": "", "Volumes": None,
    "WorkingDir": "", "Entrypoint": None, "OnBuild": None, "Labels": {},
}  # fmt: skip


def inspect(context: Context, container: Container, execs: list[str]) -> dict[str, Any]:
    """``GET /containers/{id}/json`` without sizes and without the graph driver's part."""
    folder = context.documents.folder(container.id)
    words = [*(container.config.get("Entrypoint") or ()), *(container.config.get("Cmd") or ())]
    kind = (container.host_config.get("LogConfig") or {}).get("Type")
    return {
        "Id": container.id,
        "Created": stamp(container.created),
        "Path": words[0] if words else "",
        "Args": words[1:],
        "State": state(container),
        "Image": container.image,
        "ResolvConfPath": str(folder / "resolv.conf"),
        "HostnamePath": str(folder / "hostname"),
        "HostsPath": str(folder / "hosts"),
        "LogPath": str(folder / "log") if kind == "json-file" else "",
        "Name": f"/{container.name}",
        "RestartCount": container.restart_count,
        "Driver": context.graph.name,
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": execs or None,
        "HostConfig": host_config(container),
        "GraphDriver": {"Name": context.graph.name, "Data": None},
        "Mounts": [mount_view(point) for point in container.mounts],
        "Config": config(container),
        "NetworkSettings": sandboxes.settings(context, container),
    }


def layers(rootfs: Rootfs | None) -> dict[str, str] | None:
    """``GraphDriver.Data``: where the container's layers lie."""
    if rootfs is None or rootfs.type != "overlay":
        return None
    return {"LowerDir": ":".join(rootfs.lower), "UpperDir": rootfs.upper, "WorkDir": rootfs.work}


def require_running(container: Container) -> None:
    """Raise `Conflict` unless the container has a process."""
    if not container.state.running:
        raise Conflict(f"container {container.id} is not running")


def state(container: Container) -> dict[str, Any]:
    """``State``; a container between two tries of its restart policy counts as running, as with Docker."""
    now = container.state
    view: dict[str, Any] = {
        "Status": now.status,
        "Running": now.running or now.status is Status.RESTARTING,
        "Paused": now.paused,
        "Restarting": now.status is Status.RESTARTING,
        "OOMKilled": now.oom_killed,
        "Dead": now.status is Status.DEAD,
        "Pid": now.pid,
        "ExitCode": now.exit_code,
        "Error": now.error,
        "StartedAt": stamp(now.started_at),
        "FinishedAt": stamp(now.finished_at),
    }
    if container.health is not None:
        view["Health"] = container.health.view()
    return view


def config(container: Container) -> dict[str, Any]:
    """``Config``, with what was not given at its default."""
    merged = {**_CONFIG_DEFAULTS, **container.config}
    for name in ("ExposedPorts", "Healthcheck", "Shell", "StopSignal", "StopTimeout", "Volumes"):
        if not merged.get(name):
            merged.pop(name, None)
    merged.setdefault("Volumes", None)
    return merged


def host_config(container: Container) -> dict[str, Any]:
    """``HostConfig``, with what was not given at its default."""
    given = container.host_config
    guard = security.options(given.get("SecurityOpt") or (), privileged=bool(given.get("Privileged")))
    masked, readonly = security.paths(given, guard)
    return {
        **_HOST_DEFAULTS,
        **given,
        "LogConfig": log_config(container),
        "MaskedPaths": list(masked) or None,
        "ReadonlyPaths": list(readonly) or None,
    }


def log_config(container: Container) -> dict[str, Any]:
    """``LogConfig``. A container that chose no driver shows Docker's default one, as podman does too.

    docker-py's ``containers.run`` returns output only where it reads the name ``json-file`` here, and asks the
    API for it, which answers for every driver that keeps a log.
    """
    used = container.host_config.get("LogConfig") or {}
    asked = ((container.request.get("HostConfig") or {}).get("LogConfig") or {}).get("Type")
    return {**used, "Type": "json-file"} if used.get("Type") == "local" and not asked else used


def mount_view(point: MountPoint) -> dict[str, Any]:
    """One entry of ``Mounts``."""
    view: dict[str, Any] = {"Type": point.type}
    if point.type == "volume":
        view |= {"Name": point.name, "Source": point.source, "Destination": point.destination, "Driver": "local"}
    else:
        view |= {"Source": point.source, "Destination": point.destination}
    return view | {"Mode": point.mode, "RW": not point.read_only, "Propagation": point.propagation}
