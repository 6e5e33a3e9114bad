"""The ways to a machine for which no port is open, or no key is left: each with a host that runs, and real SSH."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.drivers.amazonec2 import reboot
from pymachine.machine.ssh.base import SSHEndpoint
from pymachine.machine.ssh.connect import open_session
from support.ec2.lab import Lab
from support.ec2.machines import Machine, living
from support.localroot import ensure_image
from support.program import Program, environment

pytestmark = [pytest.mark.root, pytest.mark.slow]
RELAY = """
import os, select, socket, sys

def carry(connection):
    ends = {0: (lambda: os.read(0, 65536), connection.sendall), connection.fileno(): (
        lambda: connection.recv(65536), lambda data: os.write(1, data))}
    while True:
        for ready in select.select(list(ends), [], [])[0]:
            read, write = ends[ready]
            data = read()
            if not data:
                return
            write(data)
"""
THROUGH = (
    RELAY
    + """
with open(sys.argv[1], "a") as log:
    log.write(f"{sys.argv[2]} {sys.argv[3]}\\n")
carry(socket.create_connection((sys.argv[2], 22)))
"""
)
"""A proxy that logs where it was asked to go, and goes to port 22 there."""
SESSION_MANAGER = (
    RELAY
    + """
import ctypes, json, urllib.request

words = sys.argv[1:]
with open(os.environ["SESSIONS"], "a") as log:
    log.write(json.dumps(words) + "\\n")
assert words[:2] == ["ssm", "start-session"], words
given = dict(zip(words[2::2], words[3::2], strict=True))
assert given.pop("--document-name") == "AWS-StartSSHSession", words
name, _, port = given.pop("--parameters").partition("=")
assert name == "portNumber", words
url = f"{given['--endpoint-url']}/_host?{given['--target']}"
host = json.load(urllib.request.urlopen(url))["pid"]
libc = ctypes.CDLL(None, use_errno=True)
if libc.setns(os.open(f"/proc/{host}/ns/net", os.O_RDONLY), 0x40000000):  # CLONE_NEWNET
    sys.exit(os.strerror(ctypes.get_errno()))
carry(socket.create_connection(("127.0.0.1", int(port))))
"""
)
"""In the place of the AWS CLI: as the agent on the instance does, it connects to the port from the instance itself."""
KEY, SECRET, TOKEN = "AKIAKEYOFTHETESTSOWN", "the+secret/of+the+test", "the+session+token+of+the+test"


@pytest.fixture(autouse=True)
def _hosts(ec2: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure_image("debian-12")
    monkeypatch.setattr(reboot, "ASK_SECONDS", 30.0)
    ec2.set(hosts=True)


def ssh(end: SSHEndpoint, command: str) -> subprocess.CompletedProcess[str]:
    """By the real ssh(1), which must know the host key."""
    options = ["BatchMode=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={end.known_hosts}"]
    options += [f"ProxyCommand={end.proxy_command}"] if end.proxy_command else []
    words = [word for option in options for word in ("-o", option)]
    return subprocess.run(
        ["ssh", "-F", "none", "-i", str(end.key_path), "-p", str(end.port), *words, f"{end.user}@{end.host}", command],
        capture_output=True,
        text=True,
        timeout=120,
    )


def refuses(address: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) != 0


def boot_of(machine: Machine) -> str:
    with open_session(machine.driver.ssh_endpoint(), timeout=60, report=machine.said.append) as session:
        return session.run("cat /proc/sys/kernel/random/boot_id").stdout


def test_a_proxy_command_carries_everything_and_a_restart_is_over_when_it_returns(ec2: Lab, tmp_path: Path) -> None:
    """Nobody listens at the port that the machine has, but through the proxy."""
    (tmp_path / "through.py").write_text(THROUGH)
    log = tmp_path / "log"
    machine = Machine(
        ec2, tmp_path, ssh_proxy_command=f"{sys.executable} {tmp_path}/through.py {log} %h %p", ssh_port=2222
    )
    machine.create()
    end = machine.driver.ssh_endpoint()
    assert refuses(end.host, 2222)
    before = boot_of(machine)
    done = ssh(end, "id -un")
    assert (done.returncode, done.stdout) == (0, "ubuntu\n"), done.stderr
    assert set(log.read_text().splitlines()) == {f"{end.host} 2222"}
    machine.driver.restart()
    assert boot_of(machine) != before
    machine.driver.remove()


def test_a_key_pushed_by_instance_connect_is_good_for_a_minute(ec2: Lab, tmp_path: Path) -> None:
    machine = Machine(ec2, tmp_path, instance_connect=True)
    machine.create()
    end = machine.driver.ssh_endpoint()
    with open_session(end, timeout=60, report=machine.said.append) as session:
        assert session.run("id -un").stdout == "ubuntu\n"
    assert ssh(end, "id -un").stdout == "ubuntu\n"
    ec2.expire_keys()
    late = ssh(end, "id -un")
    assert late.returncode == 255
    assert "Permission denied" in late.stderr
    again = ssh(machine.driver.ssh_endpoint(), "id -un")  # which pushes it anew
    assert again.stdout == "ubuntu\n"
    machine.driver.remove()


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short name: a socket in the store has 107 bytes for its path (unix(7))."""
    with tempfile.TemporaryDirectory(prefix="pymachine-test-", dir="/tmp") as path:
        yield Path(path)


def test_session_manager_carries_create_provisioning_and_docker(ec2: Lab, tmp_path: Path, short: Path) -> None:
    """Where no port can be reached; and no file of the store has anything of the credentials."""
    ec2.set(hosts=True, closed=[22, 2376, 3376], keys={KEY: TOKEN})
    programs, home = tmp_path / "bin", tmp_path / "home"
    programs.mkdir()
    (home / ".aws").mkdir(parents=True)
    (home / ".aws" / "credentials").write_text(
        f"[work]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\naws_session_token = {TOKEN}\n"
    )
    for name in ("aws", "session-manager-plugin"):  # the second is there to be run by the first
        (programs / name).write_text(f"#!{sys.executable} -I\n{SESSION_MANAGER}")
        (programs / name).chmod(0o755)
    files = {"AWS_SHARED_CREDENTIALS_FILE": str(home / ".aws" / "credentials")}
    env = {**ec2.environment(), **files}
    sessions = tmp_path / "sessions"
    env |= {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(home), "SESSIONS": str(sessions)}
    env |= {"MACHINE_DOCKER_CONTEXT": "ssh", "DOCKER_CONFIG": str(home / ".docker")}
    program = Program(short / "store", env)
    asked = ("--amazonec2-session-manager", "--amazonec2-private-address-only", "--amazonec2-profile", "work")
    program.ok("create", "-d", "aws", *asked, "m")
    (instance,) = living(ec2)
    address = program.ok("ip", "m").strip()
    assert [refuses(address, port) for port in (22, 2376)] == [True, True]
    assert program.ok("ssh", "m", "id -un") == "ubuntu\n"
    (row,) = json.loads(program.ok("ls", "--format", "json"))
    assert row["State"] == "Running"
    docker = ["docker", "--context", "machine-m", "version", "--format", "{{.Server.Os}}"]
    done = subprocess.run(docker, env=environment(env), capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "linux\n"), done.stderr
    words = [json.loads(line) for line in sessions.read_text().splitlines()]
    targets = {(*line[line.index("--target") :][:2], *line[line.index("--profile") :][:2]) for line in words}
    assert targets == {("--target", instance, "--profile", "work")}
    stored = b"".join(path.read_bytes() for path in program.store.rglob("*") if path.is_file())
    assert b"work" in stored
    assert not [secret for secret in (KEY, SECRET, TOKEN) if secret.encode() in stored]
    program.ok("rm", "-y", "m")
    assert living(ec2) == []
