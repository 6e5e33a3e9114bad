"""``pymachine create -d local`` from a cached image to a working ``docker ps``, by stage."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from bench.report import header

IMAGES = Path("/var/lib/pymachine/images")
PYMACHINE = str(Path(sys.executable).parent / "pymachine")


def main(samples: int = 5) -> None:
    """Print seconds from the start at which each stage's line came, as medians."""
    stages: dict[str, list[float]] = {}
    # `make clean` knows the folder's name, should this be killed.
    with tempfile.TemporaryDirectory(prefix="pymachine-bench-", dir="/var/tmp") as folder:
        for number in range(samples):
            for stage, seconds in _create(Path(folder), f"bench-{number}"):
                stages.setdefault(stage, []).append(seconds)
    header(f"pymachine create -d local (medians of {samples}, seconds since the start)")
    for stage, values in stages.items():
        print(f"  {statistics.median(values):6.2f}  {stage}")


def _create(folder: Path, name: str) -> list[tuple[str, float]]:
    own = {"MACHINE_STORAGE_PATH": str(folder / "store"), "PYMACHINE_LOCAL_ROOT": str(folder / "root")}
    env = {"PYMACHINE_IMAGE_ROOT": str(IMAGES), **os.environ, **own}
    start = perf_counter()
    seen: list[tuple[str, float]] = []
    command = [PYMACHINE, "create", "-d", "local", name]
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env) as process:
            assert process.stdout is not None
            for line in process.stdout:
                seen.append((re.sub(rf"\b{re.escape(name)}\b", "NAME", line.strip()), perf_counter() - start))
        if process.returncode != 0:
            raise SystemExit("bench: create failed: " + "\n".join(line for line, _ in seen[-3:]))
        exports = subprocess.run([PYMACHINE, "env", "--shell", "bash", name], env=env, capture_output=True, text=True)
        pairs = re.findall(r'^export (\w+)="(.*)"$', exports.stdout, re.MULTILINE)
        subprocess.run(["docker", "ps"], env={**env, **dict(pairs)}, check=True, capture_output=True)
        seen.append(("docker ps answered", perf_counter() - start))
    finally:
        subprocess.run([PYMACHINE, "rm", "-f", "-y", name], env=env, capture_output=True)
    return seen
