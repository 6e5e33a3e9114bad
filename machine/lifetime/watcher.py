"""Remove machines when their time is over, whether or not anybody runs pymachine then.

Where systemd runs, a timer of it starts this when the time has come (`pymachine.machine.lifetime.timer`). Elsewhere,
and where a removal may need secrets of the environment, it is a process, one for a store, as long as the store has
machines that expire. That looks at the clock again and again instead of sleeping until the moment, since computers
sleep and clocks are set; after a reboot the next command that opens the store starts it anew. A removal that fails is
tried again.
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
from pymachine.machine.lifetime import timer
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


def ensure_watched(store: Store, environ: Mapping[str, str] | None = None) -> None:
    """See to it that machines that expire are removed: by the store's timer, or by its watcher, which is started if
    none is running. Never fails: whoever calls has other things to do."""
    if not (store.location and store.expiring()):
        return
    environ = os.environ if environ is None else environ
    with contextlib.suppress(MachineError, OSError):
        if timer.keep(store, environ) and not timer.needs_this_environment(environ):
            return
    with contextlib.suppress(MachineError, OSError), store.watch():
        _children.append(_start(store.location))


def _open_log(location: str) -> int:
    path = Path(location) / "expiry.log"
    with contextlib.suppress(OSError):
        if path.stat().st_size > LARGEST_LOG:
            path.unlink()
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _start(location: str) -> subprocess.Popen[bytes]:
    log = _open_log(location)
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


def settle_due(store: Store) -> None:
    """Remove what is over by now, trying again until it is gone, or somebody else has done it; then put the store's
    timer away if nothing expires any more."""
    while _over(store):
        with contextlib.suppress(StoreBusy), store.watch(wait=RETRY):
            _Watch(store).finish()
            break
    timer.keep(store, os.environ)


def _over(store: Store) -> set[str]:
    now = datetime.now(UTC)
    return {name for name, at in store.expiring().items() if may_be_past(at, now)}


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

    def finish(self) -> None:
        """What is over now, and no more."""
        pending = _over(self._store)
        while pending:
            pending = {name for name in pending if not self._settle(name)}
            if pending:
                time.sleep(RETRY)

    def _due(self, moments: Mapping[str, str]) -> list[str]:
        now, clock = datetime.now(UTC), time.monotonic()
        return [name for name, at in moments.items() if may_be_past(at, now) and self._again.get(name, 0.0) <= clock]

    def _settle(self, name: str) -> bool:
        try:
            settle(self._store, name)
            self._again.pop(name, None)
            return True
        except Exception as error:  # one machine's trouble must not keep the others
            _say(f"{name}: {error}")
            self._again[name] = time.monotonic() + RETRY
            return False


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


def main(location: str, mode: str = "") -> None:
    """Watch the store in *location*; with *mode* ``--due`` only do what is due."""
    from pymachine.store.open import open_store

    store = open_store(location, os.environ)
    if mode != "--due":
        return watch(store)
    with contextlib.suppress(OSError):  # the store is gone: what there is to say goes to systemd's journal
        log = _open_log(location)
        os.dup2(log, 1)
        os.dup2(log, 2)
    settle_due(store)


if __name__ == "__main__":
    main(*sys.argv[1:])
