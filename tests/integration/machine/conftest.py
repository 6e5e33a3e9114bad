"""Real local machines, in a store and a root of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.program import Program


@pytest.fixture(scope="session")
def images() -> str:
    """The folder with the images, the default one built when it is missing (half a minute)."""
    root = os.environ.get("PYMACHINE_IMAGE_ROOT", "/var/lib/pymachine/images")
    Program(Path("/nonexistent"), {"PYMACHINE_IMAGE_ROOT": root}).ok("image", "build", timeout=900)
    return root


@pytest.fixture(scope="module")
def local(images: str) -> Iterator[Program]:
    """The program with an empty store; all machines are removed at the end, also those half made."""
    # Not pytest's directory: what a machine leaves by mistake is better found than kept among the last runs.
    place = Path(tempfile.mkdtemp(prefix="pymachine-test-"))
    program = Program(
        place / "store",
        {"MACHINE_DRIVER": "local", "PYMACHINE_LOCAL_ROOT": str(place / "root"), "PYMACHINE_IMAGE_ROOT": images},
    )
    try:
        yield program
    finally:
        names = program.run("ls", "-q").stdout.split()
        if names:
            subprocess.run(program.argv("rm", "-f", *names), env={**os.environ, **program.env}, timeout=300, check=True)
        shutil.rmtree(place)
