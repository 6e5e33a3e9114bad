"""What the daemon's configuration decides for containers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.engine.runtime.spec import LogSpec

_DRIVERS: dict[str, Literal["local", "json-file", "none"]] = {
    "local": "local",
    "json-file": "json-file",
    "none": "none",
}
_SIZES = {"k": 2**10, "m": 2**20, "g": 2**30}


@dataclass(frozen=True, slots=True)
class Options:
    """Where containers live and what they get by default."""

    data_root: Path
    exec_root: Path
    cgroup_parent: str = "pyengine"
    log_driver: str = "local"
    log_options: Mapping[str, str] = field(default_factory=dict)
    ulimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Default resource limits: soft and hard by name."""
    init: bool = False
    shm_size: int = 64 * 2**20
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    stop_timeout: int = 10
    """Seconds."""
    shutdown_timeout: int = 15
    """Seconds."""


def size(text: str) -> int:
    """Bytes of ``10m``, ``1g``, ``4096``; raises `InvalidArgument`."""
    number, unit = text.strip().lower().removesuffix("b"), 1
    if number[-1:] in _SIZES:
        number, unit = number[:-1], _SIZES[number[-1]]
    if not (number.isascii() and number.isdigit()):
        raise InvalidArgument(f"invalid size: '{text}'")
    return int(number) * unit


def log_config(given: Mapping[str, Any] | None, options: Options) -> tuple[str, dict[str, str]]:
    """The log driver and its options for a container; raises `InvalidArgument` for what is not offered."""
    given = given or {}
    driver = given.get("Type") or options.log_driver
    chosen = dict(given.get("Config") or {}) if given.get("Type") else dict(options.log_options)
    chosen.update(given.get("Config") or {})
    log_spec(driver, chosen, "")
    return driver, chosen


def log_spec(driver: str, options: Mapping[str, str], path: str) -> LogSpec:
    """The runtime's view of a log configuration, which is checked on the way."""
    kind = _DRIVERS.get(driver)
    if kind is None:
        raise InvalidArgument(
            f"logger: no log driver named '{driver}' is registered (this engine has local, json-file and none)"
        )
    known = {"max-size", "max-file", "compress", "mode", "max-buffer-size", "labels", "tag", "env"}
    if unknown := sorted(options.keys() - known):
        raise InvalidArgument(f"unknown log opt '{unknown[0]}' for {driver} log driver")
    default = LogSpec(driver=kind)
    try:
        files = int(options.get("max-file", default.max_files))
    except ValueError:
        raise InvalidArgument(f"invalid value for max-file: {options['max-file']!r}") from None
    if files < 1:
        raise InvalidArgument("max-file cannot be less than 1")
    limit = options.get("max-size")
    most = default.max_size if limit is None else 0 if limit == "-1" else size(limit)
    return LogSpec(kind, path, most, files)
