"""Configuration files for OpenSSH's programs (ssh_config(5)): machines by their names, each with its own port and key.

Options on the command line hold for all hosts of a command; a file holds for each host its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from pymachine.machine.errors import SSHError
from pymachine.machine.ssh.base import SSHEndpoint
from pymachine.machine.ssh.connect import check_words
from pymachine.machine.ssh.keys import check_permissions
from pymachine.machine.ssh.openssh import settings

_USERS_OWN = "~/.ssh/config"


def config_text(endpoints: Mapping[str, SSHEndpoint]) -> str:
    """A file in which each machine is a host of its own name.

    The user's configuration counts for machines without a key of ours: their keys are the user's business.
    """
    text = "".join(_block(name, endpoint) for name, endpoint in endpoints.items())
    if any(endpoint.key_path is None for endpoint in endpoints.values()):
        text += f"Match all\n  Include {_USERS_OWN}\n"
    return text


def _block(name: str, endpoint: SSHEndpoint) -> str:
    check_words(endpoint)
    if endpoint.key_path and endpoint.key_path.exists():
        check_permissions(endpoint.key_path)
    values = {"HostName": endpoint.host.replace("%", "%%"), "User": endpoint.user, **settings(endpoint)}
    for keyword, value in values.items():
        if "\n" in value:
            raise SSHError(f"{keyword} of machine {name!r} has a line break: {value!r}")
    return f"Host {name}\n" + "".join(f"  {keyword} {value}\n" for keyword, value in values.items())
