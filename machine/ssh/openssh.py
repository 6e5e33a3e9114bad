"""The OpenSSH programs, for sessions in which a person types and for copying (ssh(1), ssh_config(5))."""

from __future__ import annotations

from pymachine.machine.programs import find_program, run_here
from pymachine.machine.ssh.base import SSHEndpoint
from pymachine.machine.ssh.connect import check_words
from pymachine.machine.ssh.keys import check_permissions
from pymachine.machine.ssh.known_hosts import KnownHosts


def options(endpoint: SSHEndpoint) -> list[str]:
    """``-o`` options that ssh, scp and sftp all take. The user's configuration counts only without a key of ours."""
    words = ["-F", "/dev/null"] if endpoint.key_path else []
    for name, value in settings(endpoint).items():
        words += ["-o", f"{name}={value}"]
    return words


def settings(endpoint: SSHEndpoint) -> dict[str, str]:
    """How to reach *endpoint*, in the keywords of ssh_config(5); host and user are named elsewhere."""
    found = {
        "ConnectTimeout": "10",
        "ControlMaster": "no",
        "ControlPath": "none",
        "LogLevel": "ERROR",
        "Port": str(endpoint.port),
        "ServerAliveInterval": "15",
    }
    if endpoint.key_path:
        identity = {"IdentitiesOnly": "yes", "IdentityFile": _file(str(endpoint.key_path))}
        found |= identity | {"PasswordAuthentication": "no"}
    if endpoint.known_hosts:
        found |= _pinned(endpoint)
    if endpoint.proxy_command:
        found["ProxyCommand"] = endpoint.proxy_command
    return found


def command_line(endpoint: SSHEndpoint, args: list[str], *, interactive: bool) -> list[str]:
    """ssh(1) to *endpoint*, with *args* after the destination exactly as given: a command, or more options.

    Not *interactive*: fails rather than ask a question. Raises `MissingRequirement` without an ssh program, and
    `SSHError` when the key's file is open to others.
    """
    check_words(endpoint)
    program = require("ssh")
    if endpoint.key_path and endpoint.key_path.exists():
        check_permissions(endpoint.key_path)
    batch = [] if interactive else ["-o", "BatchMode=yes"]
    return [program, *options(endpoint), *batch, f"{endpoint.user}@{endpoint.host}", *args]


def run_interactive(endpoint: SSHEndpoint, args: list[str]) -> int:
    """Run ssh on this terminal; the remote command's status (255 when ssh itself failed, 128 + n by signal n)."""
    return run_here(command_line(endpoint, args, interactive=True))


def require(program: str) -> str:
    """The path of one of OpenSSH's programs; raises `MissingRequirement` naming the package."""
    return find_program(program, package="openssh-client", complaint=f"the program {program} is missing")


def _pinned(endpoint: SSHEndpoint) -> dict[str, str]:
    """Trust the machine's own file alone; the first contact writes it."""
    known = KnownHosts(endpoint)
    settings = {
        "UserKnownHostsFile": _file(str(known.path)),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes" if known.types() else "accept-new",
        "UpdateHostKeys": "no",
        "HashKnownHosts": "no",
        "CheckHostIP": "no",
    }
    return settings | ({"HostKeyAlias": known.alias} if known.alias else {})


def _file(path: str) -> str:
    """A path as ssh_config(5) wants it: ``%`` begins a token, and blanks would end it."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
