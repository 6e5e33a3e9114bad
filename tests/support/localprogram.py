"""The program with local machines, in a store and a local root of its own; everything goes at the end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from support.localmachine import traces
from support.program import Program


def image_root() -> str:
    """The folder with the images, the default one built when it is missing (half a minute)."""
    root = os.environ.get("PYMACHINE_IMAGE_ROOT", "/var/lib/pymachine/images")
    Program(Path("/nonexistent"), {"PYMACHINE_IMAGE_ROOT": root}).ok("image", "build", timeout=900)
    return root


@contextlib.contextmanager
def local_program(images: str) -> Iterator[Program]:
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


def left_of(program: Program) -> list[str]:
    """What there is of local machines, running or not: files, addresses, pins, mounts, processes, interfaces."""
    root = Path(program.env["PYMACHINE_LOCAL_ROOT"])
    found = traces(root)
    found += [str(path) for path in root.glob("*") if path.name not in ("id", "images", "network")]
    found += [str(path) for path in root.glob("network/.*")]
    state = root / "network" / "state.json"
    if state.exists() and (subnets := json.loads(state.read_text())["subnets"]):
        found.append(f"addresses {subnets}")
    for link in Path(program.env["PYMACHINE_IMAGE_ROOT"]).glob("*/users/*"):
        if os.readlink(link).startswith(f"{root}/"):
            found.append(f"pin {link}")
    return found
