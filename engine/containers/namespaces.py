"""``NetworkMode``, ``PidMode``, ``IpcMode``, ``UTSMode`` and ``CgroupnsMode``: own, the host's, or another's."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

from pymachine.dockerapi.errors import Conflict
from pymachine.engine.containers.model import Container
from pymachine.engine.containers.problems import Problems
from pymachine.engine.runtime.spec import Namespaces

Find = Callable[[str], Container]
"""A container by its reference; raises `NotFound`."""


def check(config: Mapping[str, Any], host_config: Mapping[str, Any], problems: Problems) -> None:
    """Note modes that do not exist or do not go together."""
    allowed = {
        "PidMode": ("", "private", "host"), "UTSMode": ("", "private", "host"),
        "IpcMode": ("", "private", "host", "shareable", "none"), "CgroupnsMode": ("", "private", "host"),
        "UsernsMode": ("", "host"),
    }  # fmt: skip
    for name, modes in allowed.items():
        mode = host_config.get(name) or ""
        if mode not in modes and not (name in ("PidMode", "IpcMode") and mode.startswith("container:")):
            problems.add(f"invalid {name}: {mode}")
    if ".." in str(host_config.get("CgroupParent") or "").split("/"):
        problems.add(f"invalid cgroup parent: {host_config['CgroupParent']}")
    if config.get("Hostname") and host_config.get("UTSMode") == "host":
        problems.add("conflicting options: hostname and the UTS mode")
    _check_network(str(host_config.get("NetworkMode") or ""), config, host_config, problems)


def _check_network(mode: str, config: Mapping[str, Any], host: Mapping[str, Any], problems: Problems) -> None:
    """Note what cannot be given to a container that has no network of its own, in Docker's words."""
    other = mode.startswith("container:")
    if other and not joined(mode):
        problems.add("invalid container format container:<name|id>")
    if not (other or mode == "host"):
        return
    conflicts = {
        "mac-address and the network mode": config.get("MacAddress"),
        f"{'container' if other else 'host'} type networking can't be used with links": host.get("Links"),
        "hostname and the network mode": other and config.get("Hostname"),
        "dns and the network mode": other and host.get("Dns"),
        "custom host-to-IP mapping and the network mode": other and host.get("ExtraHosts"),
        "port publishing and the container type network mode":
            other and (host.get("PortBindings") or host.get("PublishAllPorts")),
        "port exposing and the container type network mode": other and config.get("ExposedPorts"),
    }  # fmt: skip
    for what, given in conflicts.items():
        if given:
            problems.add(f"conflicting options: {what}")


def joined(mode: str) -> str:
    """The reference in ``container:<reference>``, or an empty string."""
    return mode.removeprefix("container:") if mode.startswith("container:") else ""


def running(container: Container, kind: str) -> Container:
    """*container* if it runs, so that its namespace can be joined; raises `Conflict`."""
    if not container.state.running:
        raise Conflict(f"cannot join {kind} of a non running container: {container.id}")
    return container


def _shareable(donor: Container) -> Container:
    if donor.host_config.get("IpcMode") != "shareable":
        hint = "(hint: use IpcMode:shareable for the donor container)"
        raise Conflict(f"can't join IPC of container {donor.id}: non-shareable IPC {hint}")
    return donor


def namespaces(container: Container, find: Find) -> Namespaces:
    """The namespaces for a start."""
    host = container.host_config
    return Namespaces(
        pid=_one(host.get("PidMode"), "pid", "PID", find),
        net=_one(container.network_mode, "net", "network", find),
        ipc=_one(host.get("IpcMode"), "ipc", "IPC", lambda reference: _shareable(find(reference))),
        uts="host" if host.get("UTSMode") == "host" else "private",
        cgroup=_cgroup(host),
    )


def _one(mode: str | None, kind: str, spoken: str, find: Find) -> str:
    if mode == "host":
        return "host"
    if reference := joined(mode or ""):
        return f"/proc/{running(find(reference), spoken).state.pid}/ns/{kind}"
    return "private"


def _cgroup(host: Mapping[str, Any]) -> str:
    """As Docker: private where cgroup v2 rules, the host's with v1 and for privileged containers there."""
    mode = host.get("CgroupnsMode")
    if mode in ("host", "private"):
        return str(mode)
    return "private" if unified() else "host"


@functools.cache
def unified() -> bool:
    """Whether cgroup v2 alone is in charge."""
    return os.path.exists("/sys/fs/cgroup/cgroup.controllers")
