"""The whole way of an EC2 machine through the real program and the real docker; each instance is a host that runs."""

from __future__ import annotations

import ipaddress
import json
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

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


def certificate(address: str) -> x509.Certificate:
    """What the engine at *address* shows to who connects."""
    return x509.load_pem_x509_certificate(ssl.get_server_certificate((address, 2376), timeout=60).encode())


def named(shown: x509.Certificate, address: str) -> bool:
    """Whether the certificate is for the address."""
    names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return ipaddress.ip_address(address) in names.get_values_for_type(x509.IPAddress)


NOBODY = ("192.0.2.1", "198.51.100.1", "203.0.113.1")
"""Addresses that are nobody's (RFC 5737)."""
CONNECT = """
import errno, socket, sys
try:
    socket.create_connection((sys.argv[1], 443), timeout=30)
except OSError as error:
    print(errno.errorcode.get(error.errno))
"""


def told(*command: str) -> list[dict[str, Any]]:
    """What ``ip`` says."""
    done = subprocess.run(["ip", "-json", *command], capture_output=True, check=True)
    return list(json.loads(done.stdout))


def only_the_tests_own_ways(program: Program) -> None:
    """With a host up there are loopback and the bridge that the tests made, and nothing but hosts at that; neither the
    tests' programs nor the host come any further."""
    kinds = {link["ifname"]: link.get("linkinfo", {}).get("info_kind", "") for link in told("-details", "link")}
    ports = {link["ifname"] for link in told("-details", "link") if link.get("master")}
    (bridge,) = set(kinds) - ports - {"lo"}
    assert kinds[bridge] == "bridge"
    assert {kinds[port] for port in ports} == {"veth"}
    (own,) = told("-4", "route")
    assert (own["dev"], "gateway" in own) == (bridge, False)
    assert ipaddress.ip_address(program.ok("ip", "m").strip()) in ipaddress.ip_network(own["dst"])
    assert {route["dst"] for route in told("-6", "route")} <= {"fe80::/64", "::1"}
    for address in NOBODY:
        assert program.ok("ssh", "m", f"python3 -c '{CONNECT}' {address}") == "ENETUNREACH\n"
        done = subprocess.run([sys.executable, "-c", CONNECT, address], capture_output=True, text=True, check=True)
        assert done.stdout == "ENETUNREACH\n"


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

    only_the_tests_own_ways(program)

    before = program.ok("ip", "m").strip()
    first = certificate(before)
    program.ok("stop", "m")
    assert program.ok("status", "m") == "Stopped\n"
    program.ok("start", "m")
    after = program.ok("ip", "m").strip()
    second = certificate(after)
    assert (named(first, before), named(first, after)) == (True, False)
    assert named(second, after)
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
