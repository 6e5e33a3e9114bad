"""A machine's record and journal in plain files, and crashes at chosen moments.

Every `Workbench.context` is what a new process would find. A crash is a real one: the operation runs in a
forked process that kills itself at the chosen moment, so that no handler and no ``finally`` runs.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pymachine.drivers.base import Context


class FileJournal:
    """A `pymachine.store.base.Journal` in one JSON file; *tick* is called before and after each write."""

    def __init__(self, path: Path, tick: Callable[[], None] = lambda: None) -> None:
        self._path = path
        self._tick = tick

    def done(self, step: str) -> bool:
        return step in self._read()["done"]

    def begin(self, step: str, **facts: Any) -> None:
        self._write(step, facts, done=False)

    def complete(self, step: str, **facts: Any) -> None:
        self._write(step, facts, done=True)

    def facts(self) -> Mapping[str, Any]:
        facts: dict[str, Any] = self._read()["facts"]
        return facts

    def steps(self) -> list[str]:
        """Every step begun, in order."""
        begun: list[str] = self._read()["begun"]
        return begun

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        if not self._path.exists():
            return {"begun": [], "done": [], "facts": {}}
        value: dict[str, Any] = json.loads(self._path.read_text())
        return value

    def _write(self, step: str, facts: dict[str, Any], *, done: bool) -> None:
        self._tick()
        value = self._read()
        value["facts"].update(facts)
        for name in ("begun", "done") if done else ("begun",):
            if step not in value[name]:
                value[name].append(step)
        write_json(self._path, value)
        self._tick()


class Workbench:
    """One machine under test: its directory, record and journal."""

    def __init__(self, directory: Path, *, name: str = "contract", timeout: float = 120.0) -> None:
        self.directory = directory
        self.machine_id = str(uuid.uuid4())
        self.name = name
        self.timeout = timeout
        self.store = directory / "machine"
        self.store.mkdir(mode=0o700, parents=True)
        self._record = directory / "record.json"

    @property
    def journal(self) -> FileJournal:
        return FileJournal(self.directory / "journal.json")

    def context(self, tick: Callable[[], None] = lambda: None) -> Context:
        """The machine as it is on disk now."""
        resources = json.loads(self._record.read_text()) if self._record.exists() else {}

        def save() -> None:
            tick()
            write_json(self._record, resources)
            tick()

        return Context(
            machine_id=self.machine_id,
            name=self.name,
            store_id="11111111-2222-3333-4444-555555555555",
            directory=self.store,
            resources=resources,
            save=save,
            journal=FileJournal(self.directory / "journal.json", tick),
            report=lambda line: None,
            timeout=self.timeout,
        )

    def crash(self, operation: Callable[[Context], None], at: int) -> bool:
        """Run an operation that dies at its moment number *at* (from 1): before or after a write to record
        or journal. Whether it died; false when it ended before there were so many moments."""
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            _run_and_exit(lambda: operation(self.context(_dying(at))))
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            return True
        if status:
            raise AssertionError(f"the operation failed by itself before moment {at}; see its output above")
        return False


def write_json(path: Path, value: Any) -> None:
    """Replace a file atomically."""
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(value))
    os.replace(temporary, path)


def _dying(at: int) -> Callable[[], None]:
    moments = 0

    def tick() -> None:
        nonlocal moments
        moments += 1
        if moments == at:
            os.kill(os.getpid(), signal.SIGKILL)

    return tick


def _run_and_exit(action: Callable[[], None]) -> None:
    """In the forked process: never return into the test runner."""
    status = 1
    try:
        action()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)
