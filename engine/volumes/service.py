"""Volumes: made, used, listed, removed. Implements `pymachine.engine.volumes.base.Volumes`.

Who uses a volume is not on disk: the containers' own documents say it, and the container service tells us
again (`use`) for each container when the daemon starts.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pymachine.dockerapi.errors import Conflict, InvalidArgument, NotFound
from pymachine.engine.events import EventBus
from pymachine.engine.volumes import mounting
from pymachine.engine.volumes.records import ANONYMOUS, VolumeRecord, VolumeStore

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")


class VolumeService:
    """All volumes under *root*. Safe to use from several threads; every call may block briefly."""

    def __init__(self, root: Path, events: EventBus) -> None:
        self._store = VolumeStore(root)
        self._events = events
        self._lock = threading.RLock()
        self._users: dict[str, set[str]] = {}
        self._volumes = self._store.load()
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Publish events on *loop* from now on (by default: the one that ran at construction)."""
        self._loop = loop

    def ensure(self, name: str, *, labels: dict[str, str] | None = None, anonymous: bool = False) -> Path:
        """The volume's directory, made when missing; raises `InvalidArgument` for a bad name."""
        self.create(name, labels=labels or {}, options={}, anonymous=anonymous)
        return self._store.data(name)

    def create(
        self, name: str, *, labels: dict[str, str], options: dict[str, str], anonymous: bool = False
    ) -> VolumeRecord:
        """The volume *name*, as it is if there is one already; an empty name makes an anonymous one."""
        with self._lock:
            if not name:
                name, anonymous = secrets.token_hex(32), True
            if name in self._volumes:
                return self._existing(name, options)
            _check_name(name)
            mounting.check(options)
            record = self._store.make(name, ({ANONYMOUS: ""} if anonymous else {}) | labels, options)
            self._volumes[name] = record
        self._publish("create", name)
        return record

    def use(self, name: str, container_id: str) -> None:
        """Remember that a container refers to the volume, and mount it if it is one to be mounted.

        Raises `NotFound`, or `EngineError` when it can't be mounted."""
        with self._lock:
            record = self.get(name)
            path = self._store.data(name)
            if record.options and not mounting.is_mounted(path):
                mounting.mount(record.options, path)
            self._users.setdefault(name, set()).add(container_id)

    def unuse(self, name: str, container_id: str) -> None:
        """Forget it again; the last user's leaving unmounts it."""
        with self._lock:
            users = self._users.get(name, set())
            users.discard(container_id)
            if not users:
                self._users.pop(name, None)
                if name in self._volumes and self._volumes[name].options:
                    mounting.unmount(self._store.data(name))

    def remove(self, name: str, *, force: bool = False) -> None:
        """Raises `NotFound` (unless *force*), or `Conflict` while containers use it."""
        with self._lock:
            if name not in self._volumes and force:
                return
            self.get(name)
            if users := self._users.get(name):
                raise Conflict(f"remove {name}: volume is in use - [{', '.join(sorted(users))}]")
            mounting.unmount(self._store.data(name))
            del self._volumes[name]
            self._store.delete(name)
        self._publish("destroy", name)

    def is_anonymous(self, name: str) -> bool:
        """Whether nobody named it."""
        record = self._volumes.get(name)
        return record is not None and record.anonymous

    def get(self, name: str) -> VolumeRecord:
        """Raises `NotFound`."""
        with self._lock:
            if (record := self._volumes.get(name)) is None:
                raise NotFound(f"get {name}: no such volume")
            return record

    def path(self, name: str) -> Path:
        """The volume's directory; raises `NotFound`."""
        self.get(name)
        return self._store.data(name)

    def all(self) -> list[VolumeRecord]:
        with self._lock:
            return list(self._volumes.values())

    def users(self, name: str) -> int:
        """How many containers refer to it."""
        with self._lock:
            return len(self._users.get(name, ()))

    def prune(self, wanted: Callable[[VolumeRecord], bool]) -> tuple[list[str], int]:
        """Remove the unused volumes that *wanted* approves; their names, and the bytes they had."""
        removed, freed = [], 0
        for record in self.all():
            if self.users(record.name) or not wanted(record):
                continue
            size = self.size(record.name)
            try:
                self.remove(record.name)
            except (Conflict, NotFound):
                continue  # used or removed meanwhile
            removed.append(record.name)
            freed += size
        self._publish("prune", "", {"reclaimed": str(freed)})
        return removed, freed

    def size(self, name: str) -> int:
        """Bytes on disk of what is in the volume; what vanishes meanwhile counts as nothing."""
        return _size(str(self._store.data(name)), set())

    def describe(self, record: VolumeRecord) -> dict[str, Any]:
        """The Engine API's ``Volume`` object."""
        return {
            "CreatedAt": record.created,
            "Driver": "local",
            "Labels": record.labels or None,
            "Mountpoint": str(self._store.data(record.name)),
            "Name": record.name,
            "Options": record.options or None,
            "Scope": "local",
        }

    def disk_usage(self) -> list[dict[str, Any]]:
        """All volumes with ``UsageData``, for ``GET /system/df``."""
        return [
            self.describe(record) | {"UsageData": {"RefCount": self.users(record.name), "Size": self.size(record.name)}}
            for record in self.all()
        ]

    def _existing(self, name: str, options: dict[str, str]) -> VolumeRecord:
        record = self._volumes[name]
        if options and options != record.options:
            raise Conflict(f"create {name}: a volume of that name exists with other options")
        return record

    def _publish(self, action: str, name: str, attributes: dict[str, str] | None = None) -> None:
        """The bus is the event loop's; we may be in any thread."""
        details = attributes or {"driver": "local"}
        if self._loop is None or self._loop.is_closed():
            self._events.publish("volume", action, name, details)
        else:
            self._loop.call_soon_threadsafe(self._events.publish, "volume", action, name, details)


def _check_name(name: str) -> None:
    if len(name) == 1 and name.isalnum():
        raise InvalidArgument(
            f"create {name}: volume name is too short, names should be at least two alphanumeric characters"
        )
    if not _NAME.match(name) or len(name) > 255:
        raise InvalidArgument(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
        )


def _size(folder: str, seen: set[tuple[int, int]]) -> int:
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if status.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                    if (status.st_dev, status.st_ino) in seen:
                        continue
                    seen.add((status.st_dev, status.st_ino))
                if entry.is_dir(follow_symlinks=False):
                    total += _size(entry.path, seen)
                else:
                    total += status.st_size
    except OSError:
        pass
    return total
