"""A user who has libvirt's library, and by it a libvirt of their own (``qemu:///session``)."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from support.ordinaryuser import OrdinaryUser, ordinary_user


@contextlib.contextmanager
def session_user() -> Iterator[OrdinaryUser]:
    """The user, whose libvirt ends with the block."""
    with ordinary_user({}) as user:
        runtime, libraries = user.home / "run", user.home / "libraries"
        for folder in (runtime, libraries):
            folder.mkdir(mode=0o700)
            os.chown(folder, user.uid, user.uid)
        for package in ("libvirt-python", "pycdlib"):
            for file in metadata.files(package) or []:
                if file.suffix in (".py", ".so"):
                    (libraries / file).parent.mkdir(exist_ok=True)
                    shutil.copy(file.locate(), libraries / file)
        user.env = {"XDG_RUNTIME_DIR": str(runtime), "PYTHONPATH": str(libraries), "PYMACHINE_EXPIRY_TIMER": "no"}
        try:
            yield user
        finally:
            _end(runtime)


def _end(runtime: Path) -> None:
    """The daemons that libvirt's library started for the session."""
    for path in runtime.rglob("*.pid"):
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(path.read_text()), signal.SIGTERM)
