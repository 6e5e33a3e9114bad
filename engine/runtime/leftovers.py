"""What is left of a container whose shim has gone: its recorded end, or things to clear away."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Any

from pymachine.engine.runtime import cgroups, record
from pymachine.engine.runtime.base import ExitStatus

SPEC = "spec.json"
UNKNOWN = 255
"""The exit code when nothing tells: what Docker says after the computer was switched off."""
_KILL_SECONDS = 10.0


async def clear(bundle: str, *, lost: int = UNKNOWN) -> ExitStatus:
    """How the container of *bundle* ended; *lost* is the code if that was never recorded.

    Then its shim was killed: whatever still runs in its control group is ended too.
    """
    recorded = _read_exit(bundle)
    if recorded is not None:
        return recorded
    await asyncio.to_thread(_clear_cgroup, cgroup_of(bundle))
    for name in (record.SOCKET, record.PID):
        try:
            os.unlink(os.path.join(bundle, name))
        except FileNotFoundError:
            pass
    return ExitStatus(lost, time.time(), error="the container's shim is gone without a record")


def cgroup_of(bundle: str) -> str:
    """The control group in the bundle's spec; ``""`` when it has none."""
    document = _read_json(os.path.join(bundle, SPEC))
    return str(document.get("cgroup", ""))


def _read_exit(bundle: str) -> ExitStatus | None:
    document = _read_json(os.path.join(bundle, record.EXIT))
    try:
        return ExitStatus(int(document["code"]), float(document["finished_at"]), bool(document["oom_killed"]))
    except (KeyError, TypeError, ValueError):
        return None


def _read_json(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _clear_cgroup(path: str) -> None:
    if not path:
        return
    cgroup, deadline = cgroups.of(path), time.monotonic() + _KILL_SECONDS
    while time.monotonic() < deadline:
        cgroup.kill()
        try:
            cgroup.remove()
            return
        except OSError:
            time.sleep(0.005)
