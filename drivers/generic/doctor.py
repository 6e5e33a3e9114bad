"""What this computer has to reach hosts with: SSH's configuration, keys, and its program. No host is asked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from pymachine.drivers.base import Finding
from pymachine.drivers.generic.options import Options
from pymachine.drivers.options import build
from pymachine.machine.errors import InvalidOption, SSHError


def findings(environ: Mapping[str, str] | None = None) -> list[Finding]:
    """Each thing that is amiss by itself; the options are those that *environ* (the process's own) gives."""
    environ = os.environ if environ is None else environ
    try:
        options = build("generic", Options, {}, environ)
    except InvalidOption as error:
        return [Finding("problem", str(error), "correct the environment variable, or unset it")]
    found = [*_configuration(options), *_keys(options), *_program()]
    return found or [Finding("ok", "SSH's configuration and keys can be used")]


def _configuration(options: Options) -> Iterator[Finding]:
    from pymachine.machine.ssh.hostconfig import host_config

    path = Path(options.ssh_config).expanduser() if options.ssh_config else None
    try:
        host_config(options.ip_address or "localhost", config=path, jump=options.proxy_jump)
    except InvalidOption as error:
        yield Finding("problem", str(error), "correct it; ssh -G HOST says what ssh makes of its configuration")


def _keys(options: Options) -> Iterator[Finding]:
    from pymachine.machine.ssh.identities import MOST_OFFERS, agent_size, default_keys, problem_of

    if options.ssh_key:
        path = Path(options.ssh_key).expanduser()
        if error := problem_of(path):
            yield Finding("problem", f"$GENERIC_SSH_KEY: {error}", error.hint or "name another key, or unset it")
        return
    keys, offered = default_keys(), agent_size()
    for error in keys.values():
        if error:
            yield _unusable(error)
    if offered > MOST_OFFERS:
        text = f"the SSH agent has {offered} keys, of which hosts are offered the first {MOST_OFFERS}"
        yield Finding(
            "warning", text, "name the right one for a host: --generic-ssh-key, or IdentityFile in ~/.ssh/config"
        )
    if not offered and not any(error is None for error in keys.values()):
        text = "there is no SSH key to log in with that can be used: the agent has none, and none is in ~/.ssh"
        yield Finding(
            "warning", text, "ssh-keygen -t ed25519, then ssh-copy-id USER@HOST; or name one: --generic-ssh-key"
        )


def _unusable(error: SSHError) -> Finding:
    return Finding("warning", str(error), error.hint)


def _program() -> Iterator[Finding]:
    if shutil.which("ssh") is None:
        text = "there is no ssh, which jump hosts need"
        yield Finding("warning", text, "sudo apt-get install openssh-client")
