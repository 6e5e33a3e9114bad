"""A create request: checked as a whole, every problem named, before anything is made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pymachine.engine.containers import (
    binds,
    devices,
    health,
    limits,
    namespaces,
    ports,
    process,
    security,
    shapes,
    specs,
)
from pymachine.engine.containers.options import Options, log_config
from pymachine.engine.containers.problems import Problems
from pymachine.engine.containers.signals import parse as parse_signal

_NOT_GIVEN = (("MemorySwappiness", -1), ("PidsLimit", 0))
_POLICIES = ("", "no", "always", "unless-stopped", "on-failure")
_HOSTNAME = re.compile(r"[a-zA-Z0-9_]([a-zA-Z0-9_.-]{0,62}[a-zA-Z0-9_])?\Z")


@dataclass(slots=True)
class CreateRequest:
    """The three parts of ``POST /containers/create``, without their nulls."""

    config: dict[str, Any]
    host_config: dict[str, Any]
    networking: dict[str, Any]
    whole: dict[str, Any]
    """As it came."""


def parse(body: dict[str, Any], options: Options) -> CreateRequest:
    """Check *body*; raises `InvalidArgument` with every problem."""
    problems = Problems()
    parts = {name: value for name, value in body.items() if name not in ("HostConfig", "NetworkingConfig")}
    config = shapes.check("Config", parts, shapes.CONFIG, problems)
    host = shapes.check("HostConfig", body.get("HostConfig"), shapes.HOST_CONFIG, problems)
    networking = shapes.check("NetworkingConfig", body.get("NetworkingConfig"), {"EndpointsConfig": "object"}, problems)
    if not config.get("Image"):
        problems.add("no image specified")
    _check_config(config, problems)
    _check_host(config, host, options, problems)
    problems.check()
    return CreateRequest(config, host, networking, body)


def _check_config(config: dict[str, Any], problems: Problems) -> None:
    for entry in config.get("Env") or ():
        if not entry.partition("=")[0]:
            problems.add(f"invalid environment variable: {entry}")
    hostname = config.get("Hostname") or ""
    if hostname and (len(hostname) > 64 or not _HOSTNAME.match(hostname)):
        problems.add(f"invalid hostname format: {hostname}")
    workdir = config.get("WorkingDir") or "/"
    if not workdir.startswith("/"):
        problems.add(f"the working directory '{workdir}' is invalid, it needs to be an absolute path")
    if config.get("StopSignal"):
        with problems.collect():
            parse_signal(config["StopSignal"])
    health.check(config.get("Healthcheck") or {}, problems)
    for key in config.get("ExposedPorts") or {}:
        with problems.collect():
            ports.parse_port(key)


def _check_host(config: dict[str, Any], host: dict[str, Any], options: Options, problems: Problems) -> None:
    limits.check(host, problems)
    namespaces.check(config, host, problems)
    check_restart(host, problems)
    privileged = bool(host.get("Privileged"))
    attempts = (
        lambda: binds.wishes(config, host, []),
        lambda: security.capabilities(host.get("CapAdd") or (), host.get("CapDrop") or (), privileged=privileged),
        lambda: security.options(host.get("SecurityOpt") or (), privileged=privileged),
        lambda: devices.devices(host.get("Devices") or ()),
        lambda: devices.cgroup_rules(host.get("DeviceCgroupRules") or ()),
        lambda: specs.sysctls(host.get("Sysctls") or {}, host_network=host.get("NetworkMode") == "host"),
        lambda: ports.bindings(config, host),
        lambda: log_config(host.get("LogConfig"), options),
    )
    for attempt in attempts:
        with problems.collect():
            attempt()
    if host.get("StorageOpt"):
        problems.add("--storage-opt is not supported by this engine's graph drivers")
    if host.get("Runtime") not in (None, "", "pyengine", "runc"):
        problems.add(f"unknown or invalid runtime name: {host['Runtime']}")
    if host.get("DeviceRequests"):
        problems.add('could not select device driver "" with capabilities: [[gpu]]')


def check_restart(host: dict[str, Any], problems: Problems) -> None:
    """Note a restart policy that does not exist or contradicts other options."""
    policy = host.get("RestartPolicy") or {}
    name, tries = policy.get("Name") or "", policy.get("MaximumRetryCount") or 0
    if name not in _POLICIES:
        problems.add(f"invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', "
                     "'on-failure', or 'unless-stopped'")  # fmt: skip
    if not isinstance(tries, int) or tries < 0:
        problems.add("invalid restart policy: maximum retry count cannot be negative")
    elif tries and name != "on-failure":
        problems.add("invalid restart policy: maximum retry count can only be used with 'on-failure'")
    if host.get("AutoRemove") and name not in ("", "no"):
        problems.add("can't create 'AutoRemove' container with restart policy")


def host_part(changes: dict[str, Any], problems: Problems) -> dict[str, Any]:
    """Part of a ``HostConfig`` (``POST /containers/{id}/update``), its types checked."""
    return shapes.check("HostConfig", changes, shapes.HOST_CONFIG, problems)


def complete_host(host: dict[str, Any], options: Options) -> dict[str, Any]:
    """``HostConfig`` as inspect shows it: the daemon's defaults filled in."""
    driver, chosen = log_config(host.get("LogConfig"), options)
    # What the CLI sends for options that were not given.
    host = {name: value for name, value in host.items() if (name, value) not in _NOT_GIVEN}
    if host.get("Memory") and not host.get("MemorySwap"):
        host["MemorySwap"] = 2 * host["Memory"]  # as much swap again
    return {
        **host,
        "NetworkMode": host.get("NetworkMode") or "default",
        "RestartPolicy": host.get("RestartPolicy") or {"Name": "no", "MaximumRetryCount": 0},
        "LogConfig": {"Type": driver, "Config": chosen},
        "ShmSize": host.get("ShmSize") or options.shm_size,
        "IpcMode": host.get("IpcMode") or "private",
        "CgroupnsMode": host.get("CgroupnsMode") or ("private" if namespaces.unified() else "host"),
    }


def complete_config(config: dict[str, Any], image: dict[str, Any], container_id: str, host: dict[str, Any]) -> Any:
    """``Config`` with the image's part, and a host name.

    Raises `InvalidArgument` when there is no command, and for an image whose configuration makes no sense.
    """
    problems = Problems()
    image = shapes.check("the image's Config", image, shapes.CONFIG, problems)
    _check_config(image, problems)
    problems.check()
    merged = process.complete(config, image)
    process.arguments(merged)
    own = host.get("NetworkMode") != "host" and host.get("UTSMode") != "host"
    if own and not merged.get("Hostname") and not namespaces.joined(str(host.get("NetworkMode") or "")):
        merged["Hostname"] = container_id[:12]
    return merged
