"""Host devices for a container: ``Devices`` and ``DeviceCgroupRules``."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.engine.runtime.spec import Device

_RULE = re.compile(r"[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}\Z")


def devices(given: Iterable[Mapping[str, Any]]) -> tuple[Device, ...]:
    """The devices asked for; a directory stands for all devices in it. Raises `InvalidArgument`."""
    return tuple(device for entry in given for device in _expand(entry))


def _expand(entry: Mapping[str, Any]) -> Iterator[Device]:
    host = str(entry.get("PathOnHost") or "")
    inside = str(entry.get("PathInContainer") or host)
    permissions = str(entry.get("CgroupPermissions") or "rwm")
    if not permissions or set(permissions) - set("rwm"):
        raise InvalidArgument(f"invalid device mode: {permissions}")
    try:
        mode = os.stat(host).st_mode
    except OSError as error:
        raise InvalidArgument(
            f'error gathering device information while adding custom device "{host}": {(error.strerror or "").lower()}'
        ) from None
    if _is_device(mode):
        yield Device(os.path.realpath(host), inside, permissions)
    elif stat.S_ISDIR(mode):
        yield from _below(host, inside, permissions)
    else:
        raise InvalidArgument(
            f'error gathering device information while adding custom device "{host}": not a device node'
        )


def _below(host: str, inside: str, permissions: str) -> Iterator[Device]:
    for folder, _, files in os.walk(host):
        for name in files:
            path = os.path.join(folder, name)
            if not os.path.islink(path) and _is_device(os.stat(path).st_mode):
                yield Device(path, inside + path[len(host) :], permissions)


def _is_device(mode: int) -> bool:
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def cgroup_rules(given: Iterable[str]) -> tuple[str, ...]:
    """Checked ``DeviceCgroupRules``: ``c 1:3 rwm`` (cgroup v1 documentation, "devices")."""
    rules = tuple(given)
    for rule in rules:
        if not _RULE.match(rule):
            raise InvalidArgument(f"invalid device cgroup rule format: '{rule}'")
    return rules
