"""The real program's own words: help, versions, mistakes in a command line, streams and exit codes."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support.fleet import REFUSED
from support.program import NO_MACHINES, Program, environment


def test_no_arguments_show_the_help(program: Program) -> None:
    assert program.ok().startswith("Usage: pymachine ")
    assert program.ok("--help") == program.ok("help") == program.ok("h") == program.ok()


def test_help_of_a_command_has_two_names(program: Program) -> None:
    assert program.ok("help", "env") == program.ok("env", "-h") == program.ok("env", "--help")


@pytest.mark.parametrize("args", [("nope",), ("help", "nope")])
def test_an_unknown_command(program: Program, args: tuple[str, ...]) -> None:
    done = program.run(*args)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "pymachine: 'nope' is not a pymachine command. See 'pymachine --help'.\n"


def test_a_usage_error_exits_2_and_says_what_on_stderr(program: Program) -> None:
    done = program.run("ls", "--nope")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == ["No such option '--nope'.", "See 'pymachine ls --help'."]


def test_global_flags_precede_the_command(program: Program) -> None:
    assert program.run("ls", "-D").returncode == 2


def test_versions(program: Program) -> None:
    assert program.ok("--version") == program.ok("version") == program.ok("-v")
    assert program.ok("version").startswith("pymachine version ")


def test_one_dash_flags_after_those_with_values(program: Program) -> None:
    assert program.ok("-tls-ca-cert", "/x", "-native-ssh", "ls", "-q") == ""
    assert program.run("-github-api-token", "ls", "-bugsnag-api-token", "no-report", "ls", "-q").returncode == 0


def test_flags_with_a_truth_value(program: Program) -> None:
    """As Go programs take them: many scripts say ``--some-flag=true``."""
    program.ok("-debug=false", "create", "m", "-d", "none", "--url", REFUSED, "--swarm=true", "-swarm-master=false")
    swarm = json.loads(program.ok("inspect", "m"))["HostOptions"]["SwarmOptions"]

    assert (swarm["Agent"], swarm["Master"]) == (True, False)
    assert program.ok("ls", "-q=true") == "m\n"
    assert program.run("ls", "-q=perhaps").returncode == 2
    assert program.ok("rm", "-y=1", "m").endswith("Successfully removed m\n")


def test_one_dash_flags(program: Program) -> None:
    program.ok("create", "-driver", "none", "-none-url", REFUSED, "-engine-label=a=b", "m")

    assert json.loads(program.ok("inspect", "m"))["HostOptions"]["EngineOptions"]["Labels"] == ["a=b"]


def test_reading_makes_no_store(program: Program) -> None:
    assert program.ok("ls") == NO_MACHINES
    assert program.ok("ls", "-q") == ""
    assert json.loads(program.ok("ls", "--format", "json")) == []
    assert program.run("status", "x").returncode == 1
    assert program.run("rm", "-y", "x").returncode == 1
    assert program.run("env").returncode == 1
    assert not program.store.exists()


@pytest.mark.parametrize("command", ["config", "env", "inspect", "ip", "kill", "provision", "restart", "start"])
def test_without_a_name_default_is_meant(program: Program, command: str) -> None:
    done = program.run(command)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == 'Error: No machine name(s) specified and no "default" machine exists\n'


def test_the_default_machine(program: Program) -> None:
    program.ok("create", "-d", "none", "--none-url", REFUSED, "default")

    assert program.ok("url") == f"{REFUSED}\n"
    assert program.ok("status") == "Running\n"


@pytest.mark.parametrize("command", ["env", "config", "inspect", "status", "url"])
def test_more_names_than_one(filled: Program, command: str) -> None:
    done = filled.run(command, "h1", "h2")

    assert done.returncode == 1
    assert done.stderr == "Error: Expected one machine name as an argument\n"


def test_an_unknown_machine(filled: Program) -> None:
    done = filled.run("status", "nope")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        'Docker machine "nope" does not exist. Use "pymachine ls" to list machines. '
        'Use "pymachine create" to add a new one.\n'
    )


def test_when_one_cannot_be_loaded_nothing_is_done(filled: Program) -> None:
    done = filled.run("stop", "nope", "h1", "nada")

    assert done.returncode == 1
    assert [line.split('"')[1] for line in done.stderr.splitlines()] == ["nope", "nada"]


@pytest.mark.parametrize(
    ("command", "text"), [("start", "started"), ("stop", "stopped"), ("restart", "restarted"), ("kill", "killed")]
)
def test_hosts_without_a_driver(filled: Program, command: str, text: str) -> None:
    done = filled.run(command, "h1", "h2")

    assert done.returncode == 1
    assert done.stderr.count(f"hosts without a driver cannot be {text}") == 2


def test_the_debug_variable(program: Program) -> None:
    done = program.run("status", "x", env={"MACHINE_DEBUG": "1"})
    assert "Traceback" in done.stderr
    done = program.run("ls", env={"MACHINE_DEBUG": "maybe"})
    assert (done.returncode, done.stderr.startswith("Error parsing boolean value from MACHINE_DEBUG: ")) == (1, True)
    assert "Traceback" not in program.run("status", "x").stderr


def test_a_reader_that_goes_away_is_no_error(filled: Program) -> None:
    process = filled.start("inspect", "h1")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()

    assert process.wait(30) == 1
    assert process.stderr.read() == ""
    process.stderr.close()


def test_ctrl_c_is_one_line(filled: Program) -> None:
    """`rm` waits for an answer that does not come."""
    reader, writer = os.pipe()
    process = subprocess.Popen(
        filled.argv("rm", "h1"), stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    assert process.stdout is not None
    while b"(y/n)" not in (seen := os.read(process.stdout.fileno(), 4096)) and seen:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    os.close(writer)
    os.close(reader)

    assert (process.returncode, error.decode().strip()) == (130, "Interrupted")


def test_regenerating_certificates_asks(filled: Program) -> None:
    done = filled.run("regenerate-certs", "h1")
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "EOF")
    assert filled.ok("regenerate-certs", "h1", stdin="no\n") == (
        "Regenerate TLS machine certs?  Warning: this is irreversible. (y/n): "
    )


def test_images(program: Program, tmp_path: Path) -> None:
    env = {"PYMACHINE_IMAGE_ROOT": str(tmp_path / "images")}

    assert program.ok("image", "ls", env=env).split() == ["NAME", "DIGEST", "SIZE", "CREATED", "MACHINES"]
    assert program.ok("image", "ls", "-q", env=env) == ""
    done = program.run("image", "rm", "nope", "nada", env=env)
    assert (done.returncode, done.stderr) == (1, 'there is no image "nope"\nthere is no image "nada"\n')
    assert program.run("image", "nope", env=env).returncode in (1, 2)
    assert not (tmp_path / "images").exists()
