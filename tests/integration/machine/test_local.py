"""The whole way of a machine on this computer: create to remove, through the real program and the real docker."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.drivers.local.checks import SCRATCH
from support.program import Program, environment

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def created(local: Program) -> str:
    """What creating machine ``m`` told."""
    return local.ok("create", "--engine-label", "role=web", "--tls-san", "m.example", "m")


@pytest.fixture(scope="module")
def m(local: Program, created: str) -> Iterator[Program]:
    """A program with machine ``m``."""
    yield local
    local.ok("rm", "-f", "m")


@pytest.fixture
def docker(m: Program) -> dict[str, str]:
    """The environment of ``eval $(pymachine env m)``, as a shell reads it."""
    if shutil.which("docker") is None:
        pytest.skip("there is no docker program")
    script = f"{m.ok('env', '--shell', 'sh', 'm')}\nprintenv DOCKER_HOST DOCKER_CERT_PATH DOCKER_TLS_VERIFY"
    values = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.split("\n")
    return environment(dict(zip(("DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"), values, strict=False)))


def run(argv: list[str], env: dict[str, str], stdin: bytes = b"") -> str:
    done = subprocess.run(argv, env=env, input=stdin, capture_output=True, timeout=120)
    assert done.returncode == 0, f"{argv}: {done.stdout!r} {done.stderr!r}"
    return done.stdout.decode()


def outside(place: Path) -> list[str]:
    """What the local driver keeps of machines; the scratch folder of a killed check goes with a later one."""
    machines = place / "root" / "machines"
    return sorted(name for name in os.listdir(machines) if not name.startswith(SCRATCH)) if machines.exists() else []


def test_create_tells_its_stages_in_docker_machines_words(created: str) -> None:
    wanted = [
        "Running pre-create checks...",
        "Creating machine...",
        "Waiting for machine to be running, this may take a few minutes...",
        "Waiting for SSH to be available...",
        "Detecting the provisioner...",
        "Provisioning with debian...",
        "Checking connection to Docker...",
        "Docker is up and running!",
        "To see how to connect your Docker Client to the Docker Engine running on this virtual machine, "
        "run: pymachine env m",
    ]

    assert [line for line in created.splitlines() if line in wanted] == wanted


def test_the_list_shows_the_engine(m: Program) -> None:
    (row,) = [row for row in json.loads(m.ok("ls", "--format", "json")) if row["Name"] == "m"]

    assert (row["State"], row["DriverName"], row["Error"]) == ("Running", "local", "")
    assert row["URL"] == m.ok("url", "m").strip() == f"tcp://{m.ok('ip', 'm').strip()}:2376"
    assert row["DockerVersion"] == f"v{m.ok('version', 'm').strip()}"
    assert m.ok("active", env={"DOCKER_HOST": row["URL"]}) == "m\n"


def test_inspect_shows_the_machine_without_asking_it(m: Program) -> None:
    shown = json.loads(m.ok("inspect", "m"))

    assert shown["Driver"]["IPAddress"] == m.ok("ip", "m").strip()
    assert shown["HostOptions"]["AuthOptions"]["ServerCertSANs"] == ["m.example"]
    assert shown["HostOptions"]["EngineOptions"]["Labels"] == ["role=web"]
    assert shown["Pymachine"]["Phase"] == "ready"


def test_config_and_env_agree(m: Program) -> None:
    directory = m.store / "machines" / "m"
    url = m.ok("url", "m").strip()

    assert m.ok("config", "m").splitlines() == [
        "--tlsverify",
        f'--tlscacert="{directory}/ca.pem"',
        f'--tlscert="{directory}/cert.pem"',
        f'--tlskey="{directory}/key.pem"',
        f"-H={url}",
    ]
    assert f'export DOCKER_HOST="{url}"' in m.ok("env", "m").splitlines()
    assert f'export NO_PROXY="{m.ok("ip", "m").strip()}"' in m.ok("env", "--no-proxy", "m").splitlines()


def test_ssh_runs_a_command_and_passes_on_its_status(m: Program) -> None:
    assert m.ok("ssh", "m", "hostname") == "m\n"
    assert m.ok("ssh", "m", "--", "echo", "-n", "x") == "x"
    assert m.ok("ssh", "m", "cat", stdin="through and back") == "through and back"
    assert m.run("ssh", "m", "exit 7").returncode == 7


def test_the_real_docker_reaches_the_engine(m: Program, docker: dict[str, str]) -> None:
    version = run(["docker", "version", "--format", "{{.Server.Version}}"], docker).strip()
    assert version == m.ok("version", "m").strip()
    info = json.loads(run(["docker", "info", "--format", "{{json .}}"], docker))
    assert info["Name"] == "m"
    assert {"role=web", "provider=local"} <= set(info["Labels"])
    config = m.ok("config", "m").split()
    assert run(["docker", *config, "version", "--format", "{{.Server.Version}}"], environment()).strip() == version


def test_a_client_without_a_certificate_is_turned_away(m: Program) -> None:
    done = subprocess.run(
        ["curl", "-sk", f"https://{m.ok('ip', 'm').strip()}:2376/version"], capture_output=True, timeout=30
    )

    assert (done.returncode != 0, done.stdout) == (True, b"")


def test_a_container_runs(m: Program, docker: dict[str, str]) -> None:
    from support.busybox import rootfs_tar

    run(["docker", "import", "-", "busybox:latest"], docker, stdin=rootfs_tar())

    assert run(["docker", "run", "--rm", "busybox", "echo", "hello"], docker) == "hello\n"


def test_provisioning_again_changes_nothing(m: Program) -> None:
    started = ("ssh", "m", "systemctl show -p ActiveEnterTimestampMonotonic pyengine")
    m.ok("provision", "m")
    release, before = provisioned_release(m), m.ok(*started)
    text = m.ok("provision", "m") + m.ok("upgrade", "m")
    if provisioned_release(m) != release:
        pytest.skip("somebody edited the engine meanwhile")

    assert 'Machine "m" has the newest engine already.' in text
    assert m.ok(*started) == before


def test_certificates_are_renewed_under_a_running_engine(m: Program, docker: dict[str, str]) -> None:
    certificate = m.store / "machines" / "m" / "server.pem"
    before = certificate.read_bytes()
    client = (m.store / "certs" / "cert.pem").read_bytes()
    started = m.ok("ssh", "m", "systemctl show -p MainPID pyengine")
    assert "none of ecdsa, rsa, ed25519" in m.run("regenerate-certs", "--tls-key-type", "dsa", "m").stderr
    m.ok("regenerate-certs", "-f", "--client-certs", "--tls-key-type", "ed25519", "m")

    for path in (certificate, m.store / "certs" / "cert.pem"):
        shown = ["openssl", "x509", "-in", str(path), "-noout", "-text"]
        assert "ED25519" in run(shown, docker)
    assert certificate.read_bytes() != before
    assert (m.store / "certs" / "cert.pem").read_bytes() != client
    assert m.ok("ssh", "m", "systemctl show -p MainPID pyengine") == started
    run(["docker", "version"], docker)


def test_stop_keeps_the_data_and_start_brings_it_back(m: Program, docker: dict[str, str]) -> None:
    m.ok("ssh", "m", "echo kept > /root/kept; sync")
    assert m.ok("stop", "m").splitlines() == ['Stopping "m"...', 'Machine "m" was stopped.']
    assert m.ok("status", "m") == "Stopped\n"
    assert m.run("stop", "m").stderr == 'Machine "m" is already stopped.\n'
    assert m.run("url", "m").stderr == "Host is not running\n"
    assert m.run("ssh", "m", "true").stderr == 'Error: Cannot run SSH command: Host "m" is not running\n'
    done = m.run("env", "m")
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        "Error checking TLS connection: Host is not running\n",
    )

    lines = [line for line in m.ok("start", "m").splitlines() if not line.startswith("(m) ")]
    assert lines[:2] == ['Starting "m"...', 'Machine "m" was started.']
    assert lines[-1].startswith("Started machines may have new IP addresses.")
    assert m.run("start", "m").stderr == 'Machine "m" is already running.\n'
    assert m.ok("ssh", "m", "cat /root/kept") == "kept\n"
    run(["docker", "version"], docker)


def test_restart_boots_anew(m: Program, docker: dict[str, str]) -> None:
    before = m.ok("ssh", "m", "stat -c %Y /run/systemd; stat -c %i /run")
    m.ok("ssh", "m", "touch /run/of-this-boot")
    m.ok("restart", "m")

    assert before
    assert m.run("ssh", "m", "test -e /run/of-this-boot").returncode == 1
    run(["docker", "version"], docker)


def test_kill_and_restart_of_a_stopped_machine(m: Program, docker: dict[str, str]) -> None:
    assert m.ok("kill", "m").splitlines() == ['Killing "m"...', 'Machine "m" was killed.']
    assert m.ok("status", "m") == "Stopped\n"
    assert 'Machine "m" was started.' in m.ok("restart", "m")
    run(["docker", "version"], docker)


def test_a_driver_option_that_is_wrong_makes_nothing(local: Program) -> None:
    before = outside(local.store.parent)
    done = local.run("create", "--local-memory", "lots", "wrong")

    assert done.returncode in (1, 3)
    assert "--local-memory" in done.stderr.splitlines()[0]
    assert "wrong" not in local.ok("ls", "-q").split()
    assert outside(local.store.parent) == before


STAGES = [
    "Running pre-create checks...",
    "Creating machine...",
    "Waiting for SSH to be available...",
    "Provisioning with debian...",
    "Installing the engine...",
    "Starting the engine...",
]


def test_a_create_that_was_killed_at_each_stage_goes_on(local: Program) -> None:
    """kill -9 of the program and all it started in its session; what the driver set free lives on."""
    for stage in STAGES:
        cut_off(local, signal.SIGKILL, stage, "create", "k")
    local.ok("create", "k")
    (row,) = [row for row in json.loads(local.ok("ls", "--format", "json")) if row["Name"] == "k"]
    assert (row["State"], row["Error"]) == ("Running", "")

    local.ok("rm", "-y", "k")
    assert "k" not in local.ok("ls", "-q").split()


@pytest.mark.parametrize("stage", STAGES)
def test_a_create_that_was_killed_is_removed_wholly(local: Program, stage: str) -> None:
    before = outside(local.store.parent)
    name = f"r{STAGES.index(stage)}"
    cut_off(local, signal.SIGKILL, stage, "create", name)
    if name in local.ok("ls", "-q").split():
        local.ok("rm", "-y", name)

    assert outside(local.store.parent) == before
    assert not (local.store / "machines" / name / "record.json").exists()


def test_a_remove_that_was_killed_is_finished_by_the_next(local: Program) -> None:
    before = outside(local.store.parent)
    local.ok("create", "half")
    process = local.start("rm", "-y", "half")
    time.sleep(0.25)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    if "half" in local.ok("ls", "-q").split():
        local.ok("rm", "-y", "half")

    assert outside(local.store.parent) == before


def test_ctrl_c_says_how_to_go_on(local: Program) -> None:
    code, error = cut_off(local, signal.SIGINT, "Creating machine...", "create", "ctrl")

    assert code == 130
    assert error == (
        'Interrupted: run the same create again to go on, or "pymachine rm ctrl" to remove what was made\n'
    )
    local.ok("create", "ctrl")
    local.ok("rm", "-y", "ctrl")


def test_ctrl_c_among_several_creates_says_how_to_go_on(local: Program) -> None:
    """The whole process group gets it, as from a terminal; the second run makes what is not there yet. Other commands
    take several machines at once, too."""
    before = outside(local.store.parent)
    several = ("create", "-n", "3", "--max-parallel", "2", "many")
    code, error = cut_off(local, signal.SIGINT, "many-1: Creating machine...", *several)

    assert code == 130
    assert error == (
        "Interrupted: run the same create again to go on with those that are not finished, or remove them: "
        "pymachine rm many-…\n"
    )
    local.ok("create", "-n", "3", "many")
    rows = json.loads(local.ok("ls", "--filter", "name=^many-", "--format", "json"))
    assert [row["Name"] for row in rows] == ["many-1", "many-2", "many-3"]
    assert all(row["DockerVersion"].startswith("v") for row in rows)
    assert len({row["URL"] for row in rows}) == 3
    names = [row["Name"] for row in rows]
    assert len(local.ok("ip", *names).split()) == 3
    for command in ("stop", "start", "rm -y"):
        local.ok(*command.split(), *names)
    assert outside(local.store.parent) == before


def provisioned_release(program: Program) -> str:
    return str(json.loads(program.ok("inspect", "m"))["Pymachine"]["Provisioned"]["release"])


def cut_off(program: Program, number: signal.Signals, stage: str, *args: str) -> tuple[int, str]:
    """Start the program, and send a signal to it and its session as soon as it says *stage*; its exit code and what it
    says on standard error."""
    process = program.start(*args)
    read_until(process, stage)
    os.killpg(process.pid, number)
    error = process.communicate(timeout=60)[1]
    return process.returncode, error


def read_until(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.strip() == text:
            return
    raise AssertionError(f"{text!r} was never said: {''.join(seen)} {process.stderr and process.stderr.read()}")
