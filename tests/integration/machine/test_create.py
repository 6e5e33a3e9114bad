"""What ``create`` takes and says, with machines of driver ``none``; many at once."""

import json
import os
import pty
import stat
import subprocess

import pytest

from support.fleet import REFUSED
from support.program import Program, environment

CREATE = ("create", "-d", "none", "--none-url", REFUSED)


def test_create_says_what_docker_machine_says(program: Program) -> None:
    lines = program.ok(*CREATE, "h1").splitlines()

    assert "Running pre-create checks..." in lines
    assert lines[-2:] == [
        "Creating machine...",
        "To see how to connect your Docker Client to the Docker Engine running on this virtual machine, "
        "run: pymachine env h1",
    ]


def test_a_terminal_sees_each_stage_with_its_seconds(program: Program) -> None:
    reader, terminal = pty.openpty()
    env = environment({"TERM": "xterm", "LC_ALL": "C.UTF-8"})
    argv = program.argv("create", "-d", "none", "--url", REFUSED, "h1")
    process = subprocess.Popen(argv, stdin=terminal, stdout=terminal, stderr=terminal, env=env)
    os.close(terminal)
    shown = b""
    try:
        while chunk := os.read(reader, 4096):
            shown += chunk
    except OSError:  # how Linux says that the last writer has gone
        pass
    os.close(reader)

    assert process.wait(60) == 0
    text = shown.decode()
    assert "✓ Running pre-create checks..." in text
    assert "\x1b[K" in text
    assert text.endswith("run: pymachine env h1\r\n")


def test_the_client_certificate_is_where_config_points(filled: Program) -> None:
    directory = filled.store / "machines" / "h1"
    modes = {name: stat.S_IMODE((directory / name).stat().st_mode) for name in ("ca.pem", "cert.pem", "key.pem")}

    assert modes == {"ca.pem": 0o644, "cert.pem": 0o644, "key.pem": 0o600}


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (CREATE, 1, "Error: No machine name specified"),
        (("create", "-d", "none", "a", "b"), 1, "Invalid command line. Found extra arguments [b]"),
        ((*CREATE, "a_b"), 1, "Error creating machine: Invalid hostname specified. "
         "Allowed hostname chars are: 0-9a-zA-Z . -"),
        (("create", "-d", "none", "a"), 1, "Error setting machine configuration from flags provided: "
         "--url option is required when no driver is selected"),
        (("create", "-d", "none", "--engine-opt", "=x", "a"), 1, "Error setting machine configuration from flags "
         "provided: --engine-opt: '=x' has no key; --url option is required when no driver is selected"),
        ((*CREATE, "--swarm-discovery", "foo", "a"), 1,
         "Error parsing swarm discovery: Swarm Discovery URL was in the wrong format: foo"),
        ((*CREATE, "--engine-label", "x", "a"), 1,
         "Error setting machine configuration from flags provided: --engine-label: 'x' is not KEY=VALUE"),
        ((*CREATE, "--swarm-master", "--swarm-host", "tcp://a:b", "--swarm-strategy", "best", "a"), 1,
         "Error setting machine configuration from flags provided: --swarm-host: 'tcp://a:b' is not of the form "
         "tcp://ADDRESS:PORT; --swarm-strategy: 'best' is none of spread, binpack, random"),
    ],
)  # fmt: skip
def test_a_create_that_is_refused(program: Program, args: tuple[str, ...], code: int, message: str) -> None:
    done = program.run(*args)

    assert (done.returncode, done.stderr.splitlines()[0]) == (code, message)
    assert "Creating" not in done.stdout
    assert "Running pre-create checks" not in done.stdout
    assert program.ok("ls", "-q") == ""
    assert not (program.store / "machines" / "a").exists()


def test_a_flag_of_another_driver(program: Program) -> None:
    done = program.run(*CREATE, "--virtualbox-memory", "2048", "x")

    assert (done.returncode, done.stdout) == (2, "")
    line, remedy = done.stderr.splitlines()
    assert line.startswith("No such option '--virtualbox-memory'.")
    assert remedy.startswith('Driver "none" has no such flag; another driver is chosen by -d. ')


def test_an_unknown_driver(program: Program) -> None:
    done = program.run("create", "-d", "bogus", "x")

    assert done.returncode == 1
    assert done.stderr.startswith('Driver "bogus" not found')


def test_a_taken_name_comes_before_wrong_options(filled: Program) -> None:
    done = filled.run("create", "-d", "none", "h1")

    assert (done.returncode, done.stderr) == (1, 'Docker machine "h1" already exists\n')


def test_a_damaged_machine_is_not_created_over(filled: Program) -> None:
    done = filled.run(*CREATE, "broken")

    assert done.returncode == 1
    assert "damaged" in done.stderr.splitlines()[0]


def test_the_drivers_flags_are_in_the_help(program: Program) -> None:
    assert "--local-cpus" in program.ok("create", "-d", "local", "--help")
    none = program.ok("create", "--driver=none", "--help")
    assert "--none-url" in none
    assert "--local-cpus" not in none


def test_swarm_flags_are_recorded_and_the_user_is_told(program: Program) -> None:
    text = program.ok(*CREATE, "--swarm-master", "--swarm-discovery", "token://t", "m")

    assert "Swarm provisioning is not in this version yet" in text.splitlines()[0]
    swarm = json.loads(program.ok("inspect", "m"))["HostOptions"]["SwarmOptions"]
    assert (swarm["IsSwarm"], swarm["Master"], swarm["Agent"]) == (True, True, False)
    assert (swarm["Discovery"], swarm["Host"], swarm["Image"]) == ("token://t", "tcp://0.0.0.0:3376", "swarm:latest")
    assert "m (master)" in program.ok("ls")
    assert "* (swarm)" in program.ok("ls", env={"DOCKER_HOST": "tcp://127.0.0.1:3376"})


def test_every_common_flag_is_recorded(program: Program) -> None:
    flags = (
        "--engine-install-url http://i --engine-opt a=b --engine-opt c --engine-insecure-registry r:5000 "
        "--engine-registry-mirror http://m --engine-label x=y --engine-storage-driver vfs --engine-env A=b "
        "--swarm --swarm-image i --swarm-discovery etcd://e/p --swarm-strategy binpack --swarm-opt heartbeat=5s "
        "--swarm-join-opt delay=1s --swarm-host tcp://0.0.0.0:4000 --swarm-addr 192.0.2.1 --swarm-experimental "
        "--tls-san one.example --tls-san 192.0.2.2"
    )
    program.ok(*CREATE, "m", *flags.split())
    options = json.loads(program.ok("inspect", "m"))["HostOptions"]
    engine, swarm = options["EngineOptions"], options["SwarmOptions"]

    assert engine["ArbitraryFlags"] == ["a=b", "c"]
    assert (engine["InsecureRegistry"], engine["RegistryMirror"], engine["Labels"]) == (
        ["r:5000"], ["http://m"], ["x=y"],
    )  # fmt: skip
    assert (engine["StorageDriver"], engine["Env"], engine["InstallURL"]) == ("vfs", ["A=b"], "http://i")
    assert (swarm["IsSwarm"], swarm["Agent"], swarm["Master"], swarm["IsExperimental"]) == (True, True, False, True)
    assert (swarm["Image"], swarm["Discovery"], swarm["Strategy"]) == ("i", "etcd://e/p", "binpack")
    assert (swarm["ArbitraryFlags"], swarm["ArbitraryJoinFlags"]) == (["heartbeat=5s"], ["delay=1s"])
    assert (swarm["Host"], swarm["Address"], swarm["Env"]) == ("tcp://0.0.0.0:4000", "192.0.2.1", ["A=b"])
    assert options["AuthOptions"]["ServerCertSANs"] == ["one.example", "192.0.2.2"]


def test_environment_variables_are_defaults_of_create(program: Program) -> None:
    env = {
        "MACHINE_DRIVER": "none",
        "ENGINE_REGISTRY_MIRROR": "http://a,http://b",
        "MACHINE_DOCKER_INSTALL_URL": "http://i",
    }
    program.ok("create", "--none-url", REFUSED, "m", env=env)
    engine = json.loads(program.ok("inspect", "m"))["HostOptions"]["EngineOptions"]

    assert (engine["RegistryMirror"], engine["InstallURL"]) == (["http://a", "http://b"], "http://i")


def test_many_first_creates_at_once_share_one_ca(program: Program) -> None:
    processes = [program.start(*CREATE, f"m{number}") for number in range(6)]
    results = [process.communicate(timeout=120) for process in processes]

    assert [process.returncode for process in processes] == [0] * 6, results
    authority = (program.store / "certs" / "ca.pem").read_bytes()
    copies = {(program.store / "machines" / f"m{number}" / "ca.pem").read_bytes() for number in range(6)}
    assert copies == {authority}


def test_many_creates_of_one_name_have_one_winner(program: Program) -> None:
    processes = [program.start(*CREATE, "same") for _ in range(5)]
    errors = [process.communicate(timeout=120)[1] for process in processes]

    assert sorted(process.returncode for process in processes) == [0, 1, 1, 1, 1]
    losers = [error for process, error in zip(processes, errors, strict=True) if process.returncode]
    assert all('Docker machine "same" already exists' in error or "is in use by" in error for error in losers), losers
