"""Seccomp filters for containers' processes: profiles in, BPF programs out, each compiled once.

The daemon compiles, by the C library libseccomp, in a thread; the container's process only installs the bytes
(`pymachine.engine.runtime.syscalls.install_seccomp`). A program depends on the profile and on the capabilities
that its rules ask about, so that pair is the key, in memory and of a file below the daemon's exec root.
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
    """Compiled filters."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._programs: dict[str, bytes] = {}
        self._lock = asyncio.Lock()

    async def program_for(self, process: Process) -> bytes:
        """The filter of *process*, empty for none; raises `StartFailed` for a profile that can't be used."""
        if process.seccomp == UNCONFINED:
            return b""
        key = self._key(process)
        program = self._programs.get(key)
        if program is None:
            async with self._lock:
                program = self._programs.get(key)
                if program is None:
                    program = await asyncio.to_thread(self._load_or_compile, key, process)
                    self._programs[key] = program
        return program

    def _key(self, process: Process) -> str:
        parts = (platform.release(), process.seccomp, *sorted(process.capabilities))
        return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()

    def _load_or_compile(self, key: str, process: Process) -> bytes:
        try:
            path = self._folder / f"{key}-{seccompile.version()}.bpf"
            try:
                return path.read_bytes()
            except FileNotFoundError:
                profile = seccompprofile.load(process.seccomp, frozenset(process.capabilities))
                program = seccompile.compile_profile(profile)
        except (OSError, ValueError) as error:
            raise StartFailed(f"OCI runtime create failed: seccomp: {error}: unknown") from error
        self._save(path, program)
        return program

    def _save(self, path: Path, program: bytes) -> None:
        """Keep it for the next daemon; only speed is lost if that can't be."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
                file.write(program)
            os.rename(file.name, path)
        except OSError:
            return
