"""What a machine of this driver keeps in its directory: a copy of the private key, and the host key if it is known."""

from __future__ import annotations

from pathlib import Path

from pymachine.machine.ssh.base import SSHEndpoint
from pymachine.machine.ssh.hostconfig import HostConfig, user_config
from pymachine.machine.ssh.keys import copy_key
from pymachine.machine.ssh.known_hosts import host_name, known_keys, write_known_hosts

TAKEN = frozenset(
    ("ca.pem", "cert.pem", "key.pem", "server.pem", "server-key.pem", "known_hosts", "record.json", "journal.jsonl")
)
"""Names that other files of a machine's directory have."""


def import_key(source: Path, directory: Path) -> str:
    """Copy a private key to *directory*; the copy's name.

    It is the original's, as with docker-machine, unless a machine has a file of that name anyway.
    """
    target = directory / (f"ssh-{source.name}" if source.name in TAKEN else source.name)
    copy_key(source, target)
    return target.name


def seed_known_hosts(endpoint: SSHEndpoint, config: HostConfig) -> int:
    """Pin the keys by which the user's own known_hosts know the host; how many there are.

    With ``HostKeyAlias`` they are looked up under that name. A machine that has a known_hosts file keeps it.
    """
    assert endpoint.known_hosts is not None
    if endpoint.known_hosts.exists():
        return 0
    name = config.alias or host_name(endpoint)
    files = config.known_hosts or (user_config().with_name("known_hosts"),)
    keys = [key for path in files for key in known_keys(name, path)]
    if keys:
        write_known_hosts(endpoint.known_hosts, name, keys)
    return len(keys)
