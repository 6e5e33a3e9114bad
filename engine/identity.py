"""The engine's own identity: its id, kept with its data, and what program this is."""

from __future__ import annotations

import os
import platform
import re
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pymachine

_RELEASE = re.compile(r"/releases/(?:sha256[-:])?([0-9a-f]{12})")
_GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def engine_id(data_root: Path) -> str:
    """The id of the engine with this data root, made at its first start."""
    path = data_root / "engine-id"
    try:
        known = path.read_text("ascii").strip()
        return str(uuid.UUID(known))
    except (FileNotFoundError, ValueError):
        made = str(uuid.uuid4())
    fresh = path.with_suffix(".new")
    fresh.write_text(made + "\n", "ascii")
    os.replace(fresh, path)
    return made


def version() -> str:
    """The engine's version."""
    return pymachine.__version__


def release() -> str:
    """The digest of the release that runs, as far as it was installed as one."""
    match = _RELEASE.search(str(Path(pymachine.__file__).resolve()))
    return match[1] if match else "source"


def built() -> str:
    """When the program's files were written, in RFC 3339."""
    moment = datetime.fromtimestamp(os.stat(pymachine.__file__).st_mtime, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def language() -> str:
    """What stands where dockerd says its Go version."""
    return f"python{platform.python_version()}" if sys.implementation.name == "cpython" else sys.version


def architecture() -> str:
    """The computer's architecture by the names that images use (``amd64``)."""
    machine = os.uname().machine
    return _GO_ARCHITECTURES.get(machine, machine)


def host_name() -> str:
    """The computer's name."""
    return os.uname().nodename
