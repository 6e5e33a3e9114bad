"""How a local machine is reached: by what its record and its directory say; root is not needed to know it."""

from __future__ import annotations

import os
from pathlib import Path

from pymachine.drivers.base import Context
from pymachine.drivers.local.options import Options
from pymachine.machine.errors import DriverError
from pymachine.machine.ssh.base import SSHEndpoint


def address_of(context: Context) -> str:
    """The address that the machine has for its whole life; raises `DriverError` before it has one."""
    address = context.resources.get("address")
    if not address:
        raise DriverError(f'machine "{context.name}" has no address yet')
    return str(address)


def endpoint_of(context: Context, options: Options) -> SSHEndpoint:
    """Port 22, with the key and the pinned host key in the machine's directory."""
    directory = context.directory
    return SSHEndpoint(
        address_of(context),
        options.ssh_user,
        key_path=directory / "id_ed25519",
        known_hosts=directory / "known_hosts",
    )


def pin_host_key(directory: Path, address: str, host_key: str) -> None:
    """Note the host key in the machine's directory: we made it, so it is known before the first connection."""
    kind, value = host_key.split()[:2]
    handle = os.open(directory / "known_hosts", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        file.write(f"{address} {kind} {value}\n")
