"""The process that removes machines when their time is over, whether or not anybody runs pymachine then.

There is one for a store, as long as the store has machines that expire. It looks at the clock again and again instead
of sleeping until the moment, since computers sleep and clocks are set. A removal that fails is tried again. After a
reboot the next command that opens the store starts it anew.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pymachine.machine.errors import MachineError, MachineNotFound, StoreBusy
from pymachine.machine.lifetime.duration import parse_moment
from pymachine.machine.operations.report import Silent
from pymachine.store.base import Store

POLL = 2.0
"""Seconds between two looks at the clock."""
RETRY = 30.0
"""Seconds until a removal that failed is tried again."""
START = 5.0
"""Seconds that a new watcher waits for the right to watch, which a command that looked for one may have just now."""
LARGEST_LOG = 256 << 10
"""Bytes."""
_children: list[subprocess.Popen[bytes]] = []
"""Kept, so that nobody complains of processes that are not waited for."""


def ensure_watched(store: Store) -> None:
    """Start the store's watcher if there are machines that expire and none is running. Never fails: whoever calls has
    other things to do."""
    if not (store.location and store.expiring()):
        return
    with contextlib.suppress(MachineError, OSError), store.watch():
        _children.append(_start(store.location))


def _start(location: str) -> subprocess.Popen[bytes]:
    path = Path(location) / "expiry.log"
    with contextlib.suppress(OSError):
        if path.stat().st_size > LARGEST_LOG:
            path.unlink()
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "pymachine.machine.lifetime.watcher", location],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=location,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    finally:
        os.close(log)


def watch(store: Store) -> None:
    """Remove machines as they expire; returns when there are none left, or another process does it."""
    while store.expiring():
        try:
            with store.watch(wait=START):
                _Watch(store).run()
        except StoreBusy:
            return
        # Who marked a machine since the last look saw us watching; so look once more now that we do not.


class _Watch:
    """The machines of a store, and when each is to be looked at again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._again: dict[str, float] = {}
        """On the monotonic clock, by name."""

    def run(self) -> None:
        while moments := self._store.expiring():
            for name in self._due(moments):
                self._settle(name)
            if self._store.expiring():
                time.sleep(POLL)

    def _due(self, moments: Mapping[str, str]) -> list[str]:
        now, clock = datetime.now(UTC), time.monotonic()
        return [name for name, at in moments.items() if may_be_past(at, now) and self._again.get(name, 0.0) <= clock]

    def _settle(self, name: str) -> None:
        try:
            settle(self._store, name)
            self._again.pop(name, None)
        except Exception as error:  # one machine's trouble must not keep the others
            _say(f"{name}: {error}")
            self._again[name] = time.monotonic() + RETRY


def settle(store: Store, name: str) -> None:
    """Remove machine *name* if its time is over by its record; forget it when it is gone or does not expire."""
    from pymachine.machine.operations.remove import remove

    try:
        record = store.load(name)
    except MachineNotFound:
        with store.lease(name, "expire"):  # refused while a create is about to write the record
            if name not in store.names():
                store.forget_expiry(name)
        return
    if not record.expires_at:
        return store.forget_expiry(name)
    if parse_moment(record.expires_at) <= datetime.now(UTC):  # what cannot be read removes nothing
        remove(store, name, Silent())
        _say(f"{name}: removed, its time was over at {record.expires_at}")


def may_be_past(moment: str, now: datetime) -> bool:
    """Whether *moment*, of the index, has come; perhaps so when it cannot be read, for then the record is asked."""
    try:
        return parse_moment(moment) <= now
    except ValueError:
        return True


def _say(text: str) -> None:
    print(datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"), text, flush=True)


def main(location: str) -> None:
    """Watch the store in *location*."""
    from pymachine.store.open import open_store

    watch(open_store(location, os.environ))


if __name__ == "__main__":
    main(sys.argv[1])
