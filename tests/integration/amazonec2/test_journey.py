"""The whole way of an EC2 machine through the real program and the real docker; each instance is a host that runs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from support.busybox import rootfs_tar
from support.ec2.lab import Lab
from support.ec2.machines import living
from support.localroot import ensure_image
from support.program import Program, environment

pytestmark = [pytest.mark.root, pytest.mark.slow]


def docker(program: Program, *args: str, stdin: bytes = b"") -> str:
    """By the environment of ``pymachine env``."""
    exports = dict(
        line.removeprefix("export ").split("=", 1)
        for line in program.ok("env", "--shell", "sh", "m").splitlines()
        if line.startswith("export ")
    )
    env = environment({name: value.strip('"') for name, value in exports.items()})
    done = subprocess.run(["docker", *args], env=env, input=stdin, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_from_create_to_remove(ec2: Lab, tmp_path: Path) -> None:
    """create, provision, docker run, stop, start with another address, docker run, terminated by others, rm."""
    if shutil.which("docker") is None:
        pytest.skip("there is no docker program")
    ec2.set(hosts=True, throttle=0.1)
    program = Program(tmp_path / "store", ec2.environment())
    program.ok("create", "-d", "aws", "--amazonec2-tags", "team=a", "m")
    (row,) = json.loads(program.ok("ls", "--format", "json"))
    assert (row["State"], row["DriverName"], row["Error"]) == ("Running", "amazonec2", "")
    docker(program, "import", "-", "busybox:latest", stdin=rootfs_tar())
    assert docker(program, "run", "--rm", "busybox", "echo", "hello") == "hello\n"

    before = program.ok("ip", "m").strip()
    program.ok("stop", "m")
    assert program.ok("status", "m") == "Stopped\n"
    program.ok("start", "m")
    assert program.ok("ip", "m").strip() != before
    assert docker(program, "run", "--rm", "busybox", "echo", "again") == "again\n"

    record = (program.store / "machines" / "m" / "record.json").read_text()
    assert "testing" not in record  # the keys

    ec2.client().terminate_instances(InstanceIds=living(ec2))
    (row,) = json.loads(program.ok("ls", "--format", "json"))
    assert row["State"] == "Error"
    assert "the instance was terminated" in row["Error"]
    program.ok("rm", "-y", "m")
    assert ec2.client().describe_key_pairs()["KeyPairs"] == []


@pytest.fixture(autouse=True, scope="module")
def _image() -> None:
    ensure_image("debian-12")
