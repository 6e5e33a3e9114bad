"""Reads ``Binds``, ``Mounts``, ``Tmpfs`` and ``Volumes`` of a create request. Nothing is touched on disk.

Formats: Engine API 1.47, ``HostConfig``; mount options: mount(8).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.engine.containers.model import MountPoint

_PROPAGATIONS = frozenset(("private", "rprivate", "shared", "rshared", "slave", "rslave"))
_IGNORED = frozenset(("z", "Z", "cached", "delegated", "consistent", "rw", "nocopy", ""))
"""SELinux labels and Docker Desktop's hints mean nothing here; ``nocopy`` is read separately."""
_VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")
_TMPFS_DEFAULTS = ("noexec", "nosuid", "nodev")


@dataclass(frozen=True, slots=True)
class Wish:
    """One mount as asked for: the mount point, and what has to be done for it."""

    point: MountPoint
    make_source: bool = False
    """Make the missing host directory (``Binds`` do, ``Mounts`` do not)."""
    copy: bool = True
    """Fill an empty volume from the image."""
    labels: Mapping[str, str] | None = None
    subpath: str = ""


def destination(path: str, given: str) -> str:
    """A checked, normalised path inside the container."""
    if not path.startswith("/"):
        raise InvalidArgument(f"invalid volume specification: '{given}': mount path must be absolute")
    clean = posixpath.normpath("/" + path.lstrip("/"))
    if clean == "/":
        raise InvalidArgument(f"invalid volume specification: '{given}': destination can't be '/'")
    return clean


def bind(text: str) -> Wish:
    """One entry of ``Binds``: ``src:dst[:options]``, ``volume:dst[:options]``, or a bare ``dst``."""
    source, *rest = text.split(":")
    if not rest:
        return Wish(MountPoint("volume", destination(source, text), anonymous=True))
    if len(rest) > 2 or not source or not rest[0]:
        raise InvalidArgument(f"invalid volume specification: '{text}'")
    mode = rest[1] if len(rest) == 2 else ""
    read_only, propagation, nocopy = _mode(mode, text)
    where = destination(rest[0], text)
    if source.startswith("/"):
        point = MountPoint("bind", where, posixpath.normpath(source), "", read_only, propagation or "rprivate", mode)
        return Wish(point, make_source=True)
    if not _VOLUME_NAME.match(source):
        raise InvalidArgument(
            f'create {source}: "{source}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
        )
    return Wish(MountPoint("volume", where, "", source, read_only, "", mode or "z"), copy=not nocopy)


def _mode(mode: str, given: str) -> tuple[bool, str, bool]:
    read_only, propagation, nocopy = False, "", False
    for option in mode.split(","):
        if option == "ro":
            read_only = True
        elif option in _PROPAGATIONS:
            propagation = option
        elif option not in _IGNORED:
            raise InvalidArgument(f"invalid mode: {mode} in volume specification '{given}'")
        nocopy = nocopy or option == "nocopy"
    return read_only, propagation, nocopy


def mount(entry: Mapping[str, Any]) -> Wish:
    """One entry of ``Mounts``."""
    kind, target = entry.get("Type"), entry.get("Target")
    source = entry.get("Source") or ""
    if not isinstance(target, str) or not target or not isinstance(source, str):
        raise InvalidArgument("invalid mount config: field Target must not be empty")
    read_only = bool(entry.get("ReadOnly"))
    where = destination(target, target)
    if kind == "bind":
        return _bind_mount(where, source, entry.get("BindOptions") or {}, read_only=read_only)
    if kind == "volume":
        return _volume_mount(where, source, entry.get("VolumeOptions") or {}, read_only=read_only)
    if kind == "tmpfs":
        if source:
            raise InvalidArgument('invalid mount config for type "tmpfs": field Source must not be specified')
        options = _tmpfs_options(entry.get("TmpfsOptions") or {})
        options = (*options, "ro") if read_only else options
        return Wish(MountPoint("tmpfs", where, read_only=read_only, options=options))
    raise InvalidArgument(f"invalid mount config: mount type {kind!r} is not supported by this engine")


def _bind_mount(where: str, source: str, options: Mapping[str, Any], *, read_only: bool) -> Wish:
    if not source.startswith("/"):
        raise InvalidArgument(
            f"invalid mount config for type \"bind\": invalid mount path: '{source}' mount path must be absolute"
        )
    propagation = options.get("Propagation") or "rprivate"
    if propagation not in _PROPAGATIONS:
        raise InvalidArgument(f"invalid mount config for type \"bind\": invalid propagation '{propagation}'")
    alone = ("nonrecursive",) if options.get("NonRecursive") else ()
    point = MountPoint("bind", where, posixpath.normpath(source), "", read_only, propagation, options=alone)
    return Wish(point, make_source=bool(options.get("CreateMountpoint")))


def _volume_mount(where: str, source: str, options: Mapping[str, Any], *, read_only: bool) -> Wish:
    driver = (options.get("DriverConfig") or {}).get("Name") or "local"
    if driver != "local":
        raise InvalidArgument(f'error looking up volume plugin {driver}: plugin "{driver}" not found')
    if source and not _VOLUME_NAME.match(source):
        raise InvalidArgument(f'invalid mount config for type "volume": {source!r} is no volume name')
    subpath = options.get("Subpath") or ""
    if subpath and (not isinstance(subpath, str) or subpath.startswith("/") or ".." in subpath.split("/")):
        raise InvalidArgument("invalid mount config: Subpath must be a relative path within the volume")
    point = MountPoint("volume", where, "", source, read_only, "", "z", anonymous=not source)
    return Wish(point, copy=not options.get("NoCopy"), labels=options.get("Labels"), subpath=subpath)


def _tmpfs_options(options: Mapping[str, Any]) -> tuple[str, ...]:
    size, mode = options.get("SizeBytes") or 0, options.get("Mode")
    found = list(_TMPFS_DEFAULTS)
    if size:
        found.append(f"size={int(size)}")
    found.append(f"mode={int(mode):o}" if mode else "mode=1777")
    return tuple(found)


def tmpfs(where: str, text: str) -> Wish:
    """One entry of ``Tmpfs``: options laid over Docker's ``noexec,nosuid,nodev``."""
    options = list(_TMPFS_DEFAULTS)
    for option in filter(None, text.split(",")):
        opposite = option.removeprefix("no") if option.startswith("no") else f"no{option}"
        options = [kept for kept in options if kept != opposite]
        if option not in options:
            options.append(option)
    if not any(option.startswith("mode=") for option in options):
        options.append("mode=1777")
    point = MountPoint("tmpfs", destination(where, where), options=tuple(options), read_only="ro" in options)
    return Wish(point)


def wishes(config: Mapping[str, Any], host_config: Mapping[str, Any], inherited: list[MountPoint]) -> list[Wish]:
    """Everything to mount, one wish a destination, parents before children.

    Precedence as in Docker: ``Binds`` and ``Mounts`` (twice the same place is an error), then ``Tmpfs``, then
    what ``VolumesFrom`` brings, then the image's and the request's anonymous ``Volumes``.
    """
    asked = [bind(text) for text in host_config.get("Binds") or []]
    asked += [mount(entry) for entry in host_config.get("Mounts") or []]
    asked += [tmpfs(where, text) for where, text in (host_config.get("Tmpfs") or {}).items()]
    found: dict[str, Wish] = {}
    for wish in asked:
        if wish.point.destination in found:
            raise InvalidArgument(f"Duplicate mount point: {wish.point.destination}")
        found[wish.point.destination] = wish
    for point in inherited:
        found.setdefault(point.destination, Wish(replace(point, anonymous=False), copy=False))
    for where in config.get("Volumes") or {}:
        clean = destination(where, where)
        found.setdefault(clean, Wish(MountPoint("volume", clean, anonymous=True)))
    return sorted(found.values(), key=lambda wish: wish.point.destination.count("/"))
