"""Everything bad gets one clear line, which comes first, and leaves nothing half done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.machines import Machine
from support.program import Program, environment
from support.smalldisk import fill, small_disk
from support.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.slow]


def refused(done: subprocess.CompletedProcess[str], code: int, line: str) -> str:
    """Hold a run to its exit code and to the first line that it says on standard error; all of that."""
    assert (done.returncode, done.stderr.partition("\n")[0]) == (code, line), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def machines_of(program: Program) -> list[str]:
    """What there is of machines in the store and in the local root."""
    root = Path(program.env["PYMACHINE_LOCAL_ROOT"])
    return sorted(path.name for place in (program.store, root) for path in place.glob("machines/*"))


UNKNOWN = (
    'Docker machine "ghost" does not exist. Use "pymachine ls" to list machines. '
    'Use "pymachine create" to add a new one.'
)


@pytest.mark.parametrize(
    "command", ["config", "env", "inspect", "ip", "kill", "restart", "ssh", "start", "status", "stop", "url"]
)
def test_an_unknown_machine(program: Program, command: str) -> None:
    refused(program.run(command, "ghost"), 1, UNKNOWN)


def test_names_that_are_taken_or_invalid(program: Program, machine: Machine) -> None:
    before = machines_of(program)
    invalid = "Error creating machine: Invalid hostname specified. Allowed hostname chars are: 0-9a-zA-Z . -"

    refused(program.run("create", machine.name), 1, f'Docker machine "{machine.name}" already exists')
    for name in ("", "two words", "../up", "_x", "semi;colon"):
        refused(program.run("create", "--", name), 1, invalid)
    assert machines_of(program) == before


@pytest.mark.parametrize(
    ("missing", "package"),
    [("systemd-nspawn", "systemd-container"), ("iptables", "iptables"), ("ip", "iproute2")],
)
def test_a_missing_system_package(program: Program, missing: str, package: str) -> None:
    """With the line that installs it. The program's files are hidden in a mount namespace."""
    before = machines_of(program)
    done = without([missing], program, "create", "lacking")

    first, second = done.stderr.splitlines()  # iptables has two names
    assert done.returncode == 3
    assert first.startswith(f'Error with pre-create check: "{missing} is not installed')
    assert second == f"sudo apt-get install -y --no-install-recommends {package}"
    assert machines_of(program) == before


def test_an_image_cannot_be_built_without_mmdebstrap(program: Program, tmp_path: Path) -> None:
    done = without(["mmdebstrap"], program, "image", "build", env={"PYMACHINE_IMAGE_ROOT": str(tmp_path)})

    said = refused(done, 1, "mmdebstrap is not installed")
    assert said.splitlines()[1] == "sudo apt-get install -y --no-install-recommends mmdebstrap"


HIDE = """
for name in $1; do
  for folder in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin; do
    [ ! -e $folder/$name ] || mount --bind /dev/null $(readlink -f $folder/$name)
  done
done
shift
exec "$@"
"""


def without(
    programs: list[str], program: Program, *args: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run where some programs are not to be found: they are hidden under a file that cannot be executed."""
    return subprocess.run(
        ["unshare", "-m", "sh", "-ec", HIDE, "hide", " ".join(programs), *program.argv(*args)],
        env=environment({**program.env, **(env or {})}),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_machine_that_was_killed_behind_our_back(program: Program, machine: Machine) -> None:
    """It is told to be stopped, by each command in its words, and starts again."""
    root = Path(program.env["PYMACHINE_LOCAL_ROOT"])
    folders = {json.loads((folder / "machine.json").read_text())["name"]: folder for folder in root.glob("machines/*")}
    os.kill(json.loads((folders[machine.name] / "pid.json").read_text())["pid"], signal.SIGKILL)
    eventually(lambda: program.ok("status", machine.name) == "Stopped\n")
    try:
        refused(program.run("ip", machine.name), 1, "Error getting IP address: Host is not running")
        refused(program.run("env", machine.name), 1, "Error checking TLS connection: Host is not running")
        ssh = f'Error: Cannot run SSH command: Host "{machine.name}" is not running'
        refused(program.run("ssh", machine.name, "true"), 1, ssh)
    finally:
        program.ok("start", machine.name)


def test_a_host_that_nobody_can_reach(program: Program, machine: Machine) -> None:
    """Packets to it vanish: the list says so in its row, and nothing hangs longer than it was told to."""
    rule = ["OUTPUT", "-d", machine.address(), "-j", "DROP"]
    subprocess.run(["iptables", "-w", "-I", *rule], check=True)
    try:
        listed = program.ok("ls", "-t", "1")
        provision = program.run("provision", "--timeout", "3", machine.name, timeout=60)
    finally:
        subprocess.run(["iptables", "-w", "-D", *rule], check=True)

    assert "the engine does not answer within 1 s" in listed
    assert provision.returncode == 1
    assert "Traceback" not in provision.stderr
    assert machine.address() in provision.stderr.splitlines()[0]


def test_the_engines_port_is_in_use(program: Program, machine: Machine) -> None:
    """By a program on the host: provisioning names the port and what to do."""
    machine.ssh("systemctl stop pyengine; systemd-run --unit squatter python3 -m http.server 2376")
    try:
        done = program.run("provision", machine.name)
    finally:
        machine.ssh("systemctl stop squatter; systemctl start pyengine")

    said = refused(done, 1, "port 2376 on the host is in use by another program")
    assert said.splitlines()[1] == f'End it on the host, then run: "pymachine provision {machine.name}".'


def test_a_port_that_a_program_on_the_host_uses_cannot_be_published(machine: Machine) -> None:
    machine.ssh("systemd-run --unit squatter python3 -m http.server 8088")
    try:
        machine.ssh("until ss -ltn | grep -q :8088; do sleep 0.1; done")
        done = machine.run("run", "--rm", "-p", "8088:80", "busybox", "true")
    finally:
        machine.ssh("systemctl stop squatter")

    assert done.returncode == 125
    assert "listen tcp4 0.0.0.0:8088: bind: address already in use" in done.stderr
    assert machine.docker("ps", "-aq", "--filter", "status=created") == ""


def test_a_full_disk_under_the_store(tmp_path: Path) -> None:
    """The first create and a later one are refused, nothing is left of them, and what was there can be removed."""
    create = ["create", "-d", "none", "--url", "tcp://127.0.0.1:1"]
    with small_disk(tmp_path / "small", "4m") as small:
        program = Program(small / "store")
        filler = fill(small)
        refused(program.run(*create, "first"), 1, f"cannot make the store in {program.store}: No space left on device")
        filler.unlink()
        program.ok(*create, "first")
        fill(small)

        record = program.store / "machines" / "second" / "record.json"
        refused(program.run(*create, "second"), 1, f"cannot write {record}: No space left on device")
        assert [path.name for path in (program.store / "machines").iterdir()] == ["first"]
        assert program.ok("ls", "-q") == "first\n"
        program.ok("rm", "-y", "first")
        assert list((program.store / "machines").iterdir()) == []
        assert list(program.store.rglob("*.tmp")) == []


def test_a_damaged_record_hides_no_other(program: Program, machine: Machine) -> None:
    program.ok("create", "-d", "none", "--url", "tcp://127.0.0.1:1", "bad")
    record = program.store / "machines" / "bad" / "record.json"
    record.write_text(record.read_text()[:40])

    done = program.run("status", "bad")
    assert done.returncode == 1
    assert done.stderr.startswith('the record of machine "bad" is damaged: ')
    assert {"bad", machine.name} <= {line.split()[0] for line in program.ok("ls").splitlines()}
    program.ok("rm", "-f", "-y", "bad")
    assert "bad" not in program.ok("ls", "-q").split()
