"""Seccomp filters for containers' processes: profiles in, BPF programs out, each compiled once.

The daemon compiles, by the C library libseccomp, in a thread, to a file below its exec root; the container's process
only reads and installs that (`pymachine.engine.runtime.syscalls.install_seccomp`), so that neither daemon nor shim
carries programs about. A program depends on the profile and on the capabilities that its rules ask about: that pair,
with the kernel's and the library's versions, is its name.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import tempfile
from pathlib import Path

from pymachine.engine.runtime import seccompile, seccompprofile
from pymachine.engine.runtime.base import StartFailed
from pymachine.engine.runtime.spec import Process

UNCONFINED = "unconfined"


class Cache:
    """Compiled filters, as files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths: dict[str, str] = {}
        self._lock = asyncio.Lock()

    async def program_for(self, process: Process) -> str:
        """The file with the filter of *process*, ``""`` for none; `StartFailed` for a profile that can't be used."""
        if process.seccomp == UNCONFINED:
            return ""
        key = self._key(process)
        path = self._paths.get(key)
        if path is None or not os.path.exists(path):
            async with self._lock:
                path = self._paths[key] = await asyncio.to_thread(self._find_or_compile, key, process)
        return path

    def _key(self, process: Process) -> str:
        parts = (platform.release(), process.seccomp, *sorted(process.capabilities))
        return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()

    def _find_or_compile(self, key: str, process: Process) -> str:
        try:
            path = self._folder / f"{key}-{seccompile.version()}.bpf"
            if not path.exists():
                profile = seccompprofile.load(process.seccomp, frozenset(process.capabilities))
                self._save(path, seccompile.compile_profile(profile))
        except (OSError, ValueError) as error:
            raise StartFailed(f"OCI runtime create failed: seccomp: {error}: unknown") from error
        return str(path)

    def _save(self, path: Path, program: bytes) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
            file.write(program)
        os.rename(file.name, path)
