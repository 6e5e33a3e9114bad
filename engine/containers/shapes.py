"""Holds the JSON of a create request to the types that the Engine API gives its fields (API 1.47).

Clients send ``null`` for nearly everything that is empty, and may send fields of newer versions: those are
kept and not looked at.
"""

from __future__ import annotations

from typing import Any

from pymachine.engine.containers.problems import Problems

_STRINGS = "a list of strings"

Kind = str | dict[str, Any] | list[dict[str, Any]]
"""What a field holds: by its name in `_SPOKEN`, or the fields of an object, or (in a list) of each object of a list."""

_HEALTHCHECK: dict[str, Kind] = {
    "Test": _STRINGS,
    **dict.fromkeys(("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"), "int"),
}
_MOUNT: dict[str, Kind] = {
    **dict.fromkeys(("Type", "Source", "Target", "Consistency"), "str"),
    "ReadOnly": "bool",
    "BindOptions": {"Propagation": "str", "NonRecursive": "bool", "CreateMountpoint": "bool"},
    "VolumeOptions": {
        "NoCopy": "bool",
        "Labels": "strings by name",
        "Subpath": "str",
        "DriverConfig": {"Name": "str", "Options": "strings by name"},
    },
    "TmpfsOptions": {"SizeBytes": "int", "Mode": "int"},
}
ENDPOINT: dict[str, Kind] = {
    "Aliases": _STRINGS,
    "Links": _STRINGS,
    "MacAddress": "str",
    "DriverOpts": "strings by name",
    "IPAMConfig": {"IPv4Address": "str", "IPv6Address": "str", "LinkLocalIPs": _STRINGS},
}

CONFIG: dict[str, Kind] = {
    **dict.fromkeys(
        ("AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce", "NetworkDisabled"), "bool"
    ),
    **dict.fromkeys(("Hostname", "Domainname", "User", "Image", "WorkingDir", "StopSignal", "MacAddress"), "str"),
    **dict.fromkeys(("ExposedPorts", "Volumes"), "object"),
    "Healthcheck": _HEALTHCHECK,
    "Labels": "strings by name",
    "Env": _STRINGS,
    "Cmd": "words",
    "Entrypoint": "words",
    "Shell": "words",
    "StopTimeout": "int",
}

HOST_CONFIG: dict[str, Kind] = {
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
    "PortBindings": "object",
    "RestartPolicy": {"Name": "str", "MaximumRetryCount": "int"},
    "LogConfig": {"Type": "str", "Config": "strings by name"},
    "Mounts": [_MOUNT],
    "Devices": [dict.fromkeys(("PathOnHost", "PathInContainer", "CgroupPermissions"), "str")],
    "Ulimits": [{"Name": "str", "Soft": "int", "Hard": "int"}],
    "DeviceRequests": [{}],
    "BlkioWeightDevice": [{"Path": "str", "Weight": "int"}],
    **dict.fromkeys(
        ("BlkioDeviceReadBps", "BlkioDeviceWriteBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteIOps"),
        [{"Path": "str", "Rate": "int"}],
    ),
}  # fmt: skip


def _is(value: Any, kind: str) -> bool:
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "int":
        return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    if kind == "str":
        return _is_text(value)
    if kind == "object":
        return isinstance(value, dict) and all(map(_is_text, value))
    if kind == "strings by name":
        return isinstance(value, dict) and all(map(_is_text, value)) and all(map(_is_text, value.values()))
    if kind == "two numbers":
        return isinstance(value, list) and len(value) == 2 and all(_is_size(item) for item in value)
    if kind == "words" and isinstance(value, str):
        return _is_text(value)
    return isinstance(value, list) and all(map(_is_text, value))


def _is_text(value: Any) -> bool:
    """Whether it can be handed to the kernel: no null byte, and no half of a surrogate pair, which JSON may hold."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value < 65536


_SPOKEN = {
    "bool": "true or false", "int": "a whole number", "str": "a string", "object": "an object",
    "strings by name": "an object of strings", "words": "a string or a list of strings",
}  # fmt: skip


def check(part: str, value: Any, fields: dict[str, Kind], problems: Problems) -> dict[str, Any]:
    """*value* without its nulls; wrong types are noted in *problems* and left out."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        problems.add(f"{part} must be an object")
        return {}
    kept: dict[str, Any] = {}
    for name, item in value.items():
        kind = fields.get(name)
        if item is None:
            continue
        if isinstance(kind, dict):
            kept[name] = check(f"{part}.{name}", item, kind, problems)
        elif isinstance(kind, list):
            kept[name] = _check_each(f"{part}.{name}", item, kind[0], problems)
        elif kind is not None and not _is(item, kind):
            problems.add(f"{part}.{name} must be {_SPOKEN.get(kind, kind)}")
        else:
            kept[name] = [item] if kind == "words" and isinstance(item, str) else item
    return kept


def require(part: str, value: Any, fields: dict[str, Kind]) -> dict[str, Any]:
    """As `check`, but raises `InvalidArgument` for what is wrong."""
    problems = Problems()
    kept = check(part, value, fields, problems)
    problems.check()
    return kept


def _check_each(part: str, value: Any, fields: dict[str, Kind], problems: Problems) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        problems.add(f"{part} must be a list of objects")
        return []
    return [check(f"{part}[{index}]", item, fields, problems) for index, item in enumerate(value)]
