"""Every command and every flag of docker-machine 0.16.2 is understood, in each way that it may be written."""

import shlex

import click
import pytest

from pymachine.machine.cli.app import application
from pymachine.machine.cli.commands import ALIASES, COMMANDS
from pymachine.machine.cli.invocation import Invocation

GLOBAL = [
    "-D",
    "--debug",
    "-s /x",
    "--storage-path /x",
    "--storage-path=/x",
    "--tls-ca-cert /x",
    "--tls-ca-key /x",
    "--tls-client-cert /x",
    "--tls-client-key /x",
    "--github-api-token x",
    "--native-ssh",
    "--bugsnag-api-token no-report",
]

LINES = {
    "active": ["-t 5", "--timeout 5"],
    "config": ["--swarm"],
    "create": [
        "-d none",
        "--driver none",
        "--driver=none",
        "--engine-install-url https://get.docker.com",
        "--engine-opt a=b --engine-opt c",
        "--engine-insecure-registry r:5000 --engine-insecure-registry s",
        "--engine-registry-mirror https://m",
        "--engine-label a=b",
        "--engine-storage-driver overlay2",
        "--engine-env A=b",
        "--swarm",
        "--swarm-master",
        "--swarm-image swarm:latest",
        "--swarm-discovery token://x",
        "--swarm-strategy spread",
        "--swarm-opt a=b",
        "--swarm-join-opt a=b",
        "--swarm-host tcp://0.0.0.0:3376",
        "--swarm-addr 10.0.0.1",
        "--swarm-experimental",
        "--tls-san name",
        "-d none --url tcp://10.0.0.1:2376",
        "-d generic --generic-engine-port 2376",
        "-d generic --generic-ip-address 10.0.0.1",
        "-d generic --generic-ssh-user root",
        "-d generic --generic-ssh-key /x",
        "-d generic --generic-ssh-port 22",
    ],
    "env": ["--swarm", "--shell fish", "-u", "--unset", "--no-proxy"],
    "inspect": ["-f {{.Name}}", "--format {{.Name}}"],
    "ip": [""],
    "kill": [""],
    "ls": [
        "-q",
        "--quiet",
        "--filter driver=none --filter name=x",
        "-t 5",
        "--timeout 5",
        "-f {{.Name}}",
        "--format x",
    ],
    "mount": ["-u", "--unmount"],
    "provision": [""],
    "regenerate-certs": ["-f", "--force", "--client-certs"],
    "restart": [""],
    "rm": ["-f", "--force", "-y"],
    "scp": ["-r", "--recursive", "-d", "--delta", "-q", "--quiet"],
    "start": [""],
    "status": [""],
    "stop": [""],
    "upgrade": [""],
    "url": [""],
    "version": [""],
    "help": [""],
}
CASES = [(command, line) for command, lines in LINES.items() for line in lines]


@pytest.fixture
def parent() -> click.Context:
    return click.Context(application, info_name="pymachine", obj=Invocation(storage_path=None, debug=False))


@pytest.mark.parametrize("line", GLOBAL)
@pytest.mark.parametrize("dashes", ["--", "-"])
def test_global_flags(line: str, dashes: str) -> None:
    words = shlex.split(line if dashes == "--" else line.replace("--", "-", 1))
    application.make_context("pymachine", [*words, "ls"], obj=Invocation(storage_path=None, debug=False))


@pytest.mark.parametrize(("command", "line"), CASES)
def test_flags_before_and_after_the_name(command: str, line: str, parent: click.Context) -> None:
    words = shlex.split(line)
    for args in ([*words, "name"], ["name", *words]):
        COMMANDS[command].load().make_context(command, args, parent=parent)


@pytest.mark.parametrize(("command", "line"), [case for case in CASES if "--" in case[1]])
def test_long_flags_with_one_dash(command: str, line: str, parent: click.Context) -> None:
    """As the Go library takes them: ``-driver none``."""
    words = [word[1:] if word.startswith("--") else word for word in shlex.split(line)]
    COMMANDS[command].load().make_context(command, [*words, "name"], parent=parent)


def test_every_command_is_there() -> None:
    assert {*LINES, "ssh"} <= set(COMMANDS)
    assert ALIASES["h"] == "help"


def test_ssh_parses_nothing(parent: click.Context) -> None:
    context = COMMANDS["ssh"].load().make_context("ssh", ["m", "-L", "1:2:3", "--", "ls", "-h"], parent=parent)

    assert context.params["arguments"] == ("m", "-L", "1:2:3", "--", "ls", "-h")
