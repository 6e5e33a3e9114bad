"""Holds the JSON of a create request to the types that the Engine API gives its fields (API 1.47).

Clients send ``null`` for nearly everything that is empty, and may send fields of newer versions: those are
kept and not looked at.
"""

from __future__ import annotations

from typing import Any

from pymachine.engine.containers.problems import Problems

_STRINGS = "a list of strings"

CONFIG: dict[str, str] = {
    **dict.fromkeys(
        ("AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce", "NetworkDisabled"), "bool"
    ),
    **dict.fromkeys(("Hostname", "Domainname", "User", "Image", "WorkingDir", "StopSignal", "MacAddress"), "str"),
    **dict.fromkeys(("ExposedPorts", "Volumes", "Healthcheck"), "object"),
    "Labels": "strings by name",
    "Env": _STRINGS,
    "Cmd": "words",
    "Entrypoint": "words",
    "Shell": "words",
    "StopTimeout": "int",
}

HOST_CONFIG: dict[str, str] = {
    **dict.fromkeys(
        ("Privileged", "PublishAllPorts", "ReadonlyRootfs", "AutoRemove", "Init", "OomKillDisable"), "bool"
    ),
    **dict.fromkeys(
        (
            "NetworkMode", "PidMode", "IpcMode", "UTSMode", "CgroupnsMode", "UsernsMode", "CgroupParent",
            "CpusetCpus", "CpusetMems", "Runtime", "Isolation", "VolumeDriver", "Cgroup",
        ),
        "str",
    ),
    **dict.fromkeys(
        (
            "Memory", "MemorySwap", "MemoryReservation", "MemorySwappiness", "NanoCpus", "CpuQuota", "CpuPeriod",
            "CpuShares", "PidsLimit", "BlkioWeight", "OomScoreAdj", "ShmSize",
        ),
        "int",
    ),
    **dict.fromkeys(
        (
            "Binds", "VolumesFrom", "CapAdd", "CapDrop", "SecurityOpt", "GroupAdd", "Dns", "DnsSearch", "DnsOptions",
            "ExtraHosts", "Links", "MaskedPaths", "ReadonlyPaths", "DeviceCgroupRules",
        ),
        _STRINGS,
    ),
    "ConsoleSize": "two numbers",
    **dict.fromkeys(("Sysctls", "Tmpfs", "StorageOpt"), "strings by name"),
    **dict.fromkeys(("PortBindings", "RestartPolicy", "LogConfig"), "object"),
    **dict.fromkeys(("Mounts", "Devices", "Ulimits", "DeviceRequests"), "a list of objects"),
}  # fmt: skip


def _is(value: Any, kind: str) -> bool:
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "int":
        return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    if kind == "str":
        return isinstance(value, str) and "\0" not in value
    if kind == "object":
        return isinstance(value, dict)
    if kind == "strings by name":
        return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
    if kind == "a list of objects":
        return isinstance(value, list) and all(isinstance(item, dict) for item in value)
    if kind == "two numbers":
        return isinstance(value, list) and len(value) == 2 and all(_is_size(item) for item in value)
    if kind == "words" and isinstance(value, str):
        return "\0" not in value
    return isinstance(value, list) and all(isinstance(item, str) and "\0" not in item for item in value)


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value < 65536


_SPOKEN = {
    "bool": "true or false", "int": "a whole number", "str": "a string", "object": "an object",
    "strings by name": "an object of strings", "words": "a string or a list of strings",
}  # fmt: skip


def check(part: str, value: Any, fields: dict[str, str], problems: Problems) -> dict[str, Any]:
    """*value* without its nulls; wrong types are noted in *problems* and left out."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        problems.add(f"{part} must be an object")
        return {}
    kept = {}
    for name, item in value.items():
        kind = fields.get(name)
        if item is None:
            continue
        if kind is not None and not _is(item, kind):
            problems.add(f"{part}.{name} must be {_SPOKEN.get(kind, kind)}")
            continue
        kept[name] = [item] if kind == "words" and isinstance(item, str) else item
    return kept
