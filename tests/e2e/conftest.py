"""One real machine for the whole journey, made by the program as its user would."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.busybox import rootfs_tar
from support.machines import Machine
from support.program import Program

IMAGES = "/var/lib/pymachine/images"


@pytest.fixture(scope="session")
def program() -> Iterator[Program]:
    """The program with an empty store and a local root of its own; all its machines are removed at the end."""
    place = Path(tempfile.mkdtemp(prefix="pymachine-test-", dir="/var/tmp"))
    env = {"MACHINE_DRIVER": "local", "PYMACHINE_LOCAL_ROOT": str(place / "root"), "PYMACHINE_IMAGE_ROOT": IMAGES}
    made = Program(place / "store", env)
    made.ok("image", "build", timeout=900)
    try:
        yield made
    finally:
        names = made.run("ls", "-q").stdout.split()
        if names:
            made.ok("rm", "-f", "-y", *names)
        shutil.rmtree(place)


@pytest.fixture(scope="session")
def machine(program: Program) -> Machine:
    """A machine with engine options, and busybox on it."""
    program.ok(
        "create", "--engine-label", "tier=web", "--engine-opt", "log-driver=json-file", "--engine-opt", "mtu=1400",
        "--engine-env", "NO_PROXY=10.0.0.0/8 and % \"more\"", "--engine-insecure-registry", "registry.example:5000",
        "--engine-registry-mirror", "https://mirror.example", "--engine-storage-driver", "overlay2", "journey",
    )  # fmt: skip
    made = Machine(program, "journey")
    import_ = ["docker", "import", "--change", 'CMD ["sh"]', "-", "busybox:latest"]
    subprocess.run(import_, input=rootfs_tar(), env=made.docker_env(), check=True, capture_output=True)
    return made
