"""What ``env`` and ``config`` print, and when they print nothing; shells that evaluate it are in ``client``."""

import os
import subprocess
from pathlib import Path

import pytest

from support.fleet import REFUSED
from support.program import PROGRAM, Program, environment


def test_env_fails_before_it_prints_anything(filled: Program) -> None:
    done = filled.run("env", "h1")

    assert (done.returncode, done.stdout) == (1, "")
    first = done.stderr.splitlines()[0]
    assert first.startswith(
        'Error checking TLS connection: There was an error validating certificates for host "127.0.0.1:1": '
    )
    assert "regenerate-certs" in done.stderr.splitlines()[1]


def test_config_fails_with_its_own_prefix(filled: Program) -> None:
    assert filled.run("config", "h1").stderr.startswith("Error running connection boilerplate: ")


def test_unsetting_asks_no_machine(program: Program) -> None:
    lines = program.ok("env", "-u").splitlines()

    assert lines[:4] == [f"unset DOCKER_{name}" for name in ("TLS_VERIFY", "HOST", "CERT_PATH", "MACHINE_NAME")]
    assert lines[4] == "# Run this command to configure your shell: "
    assert program.run("env", "-u", "x").stderr == "Error: Expected no machine name when the -u flag is present\n"


def test_unsetting_with_a_proxy(program: Program) -> None:
    env = {"NO_PROXY": "a,127.0.0.1", "DOCKER_HOST": REFUSED}

    assert 'export NO_PROXY="a"' in program.ok("env", "-u", "--no-proxy", env=env).splitlines()


def test_the_swarm_flag_is_for_masters(filled: Program) -> None:
    text = filled.run("env", "--swarm", "h1").stderr

    assert text == (
        'Error checking TLS connection: "h1" is not a swarm master. '
        "The --swarm flag is intended for use with swarm masters\n"
    )


@pytest.mark.root
def test_without_a_shell(program: Program) -> None:
    """No variable names one, and no process above is one: there is none above, in a PID namespace of its own."""
    alone = ["unshare", "--pid", "--fork", "--mount-proc", *program.argv("env", "-u")]
    done = subprocess.run(alone, env=environment({"SHELL": ""}), capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout, done.stderr.splitlines()[0]) == (1, "", "Error: Unknown shell")


def test_the_usage_line_is_what_was_typed() -> None:
    """By name when the shell finds it by name, else by path; words that need quotes have them."""
    path = f"{Path(PROGRAM).parent}:{os.environ['PATH']}"
    command = "pymachine -s '/no such place' env -u"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=environment({"PATH": path}))
    assert done.stdout.splitlines()[-1] == f"# eval $({command})"

    bare = environment({"PATH": "/usr/bin:/bin"})
    done = subprocess.run([PROGRAM, "env", "-u"], capture_output=True, text=True, env=bare)
    assert done.stdout.splitlines()[-1] == f"# eval $({PROGRAM} env -u)"
