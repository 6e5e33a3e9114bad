"""The engine release: engine, swarm, the wire and their pure-Python libraries as one archive.

Built from the program's own installed files, so that an installed pymachine needs nothing else and no
download. The same files give the same bytes and so the same digest: entries are sorted, times and owners
are fixed. On the host it is unpacked to ``/opt/pymachine/releases/<digest>``.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import importlib.util
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pymachine
from pymachine.machine.errors import ProvisionError

PACKAGES = ("dockerapi", "engine", "swarm")
"""Our own subpackages that hosts need."""
LIBRARIES = ("h11",)
"""Bundled pure-Python libraries (docs/dependencies.md)."""
_TIME = 315532800
"""1 January 1980: the same in every build, and no archive format objects to it."""

_LAUNCHER = b"""\
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "lib"))
from pymachine.engine.main import main

main()
"""


@dataclass(frozen=True, slots=True)
class Release:
    """An engine release."""

    digest: str
    """SHA-256 of the uncompressed archive, in hexadecimal."""
    version: str
    archive: bytes
    """A gzip-compressed tar: ``bin/`` and ``lib/``."""


@functools.cache
def build_release() -> Release:
    """The release of the program that runs now; raises `ProvisionError` when its files cannot be read."""
    try:
        data = _tar(sorted(_entries()))
    except OSError as error:
        raise ProvisionError(f"cannot build the engine release from the installed files: {error}") from error
    # Level 1: a link to a host is faster than a better compression would pay for.
    return Release(hashlib.sha256(data).hexdigest(), pymachine.__version__, gzip.compress(data, 1, mtime=0))


def _entries() -> Iterator[tuple[str, bytes]]:
    root = Path(pymachine.__file__).parent
    yield "bin/pyengine", _LAUNCHER
    yield "lib/pymachine/__init__.py", (root / "__init__.py").read_bytes()
    for package in PACKAGES:
        yield from _files((root / package).resolve(), f"lib/pymachine/{package}")
    for library in LIBRARIES:
        spec = importlib.util.find_spec(library)
        if spec is None or not spec.submodule_search_locations:
            raise ProvisionError(f"the Python package {library} is not installed", hint=f"pip install {library}")
        yield from _files(Path(spec.submodule_search_locations[0]), f"lib/{library}")


def _files(folder: Path, prefix: str) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if path.suffix in (".py", ".json") and "__pycache__" not in relative.parts and path.is_file():
            yield f"{prefix}/{relative.as_posix()}", path.read_bytes()


def _tar(entries: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in entries:
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(data), _TIME, 0o644
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
