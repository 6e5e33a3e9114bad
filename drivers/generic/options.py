"""The generic driver's options: docker-machine's, and the way to hosts that are not reached directly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pymachine.drivers.options import option

SUDO_PASSWORD = "GENERIC_SUDO_PASSWORD"
"""The environment variable for sudo's password; no option, since options are recorded."""


@dataclass(frozen=True)
class Options:
    """Where the host is, and how it is treated."""

    ip_address: str = option(
        "", "address or name of the host, or its alias in ssh_config", env="GENERIC_IP_ADDRESS", metavar="HOST"
    )
    ssh_user: str = option("", "SSH user; by default ssh_config's, else root", env="GENERIC_SSH_USER", metavar="USER")
    ssh_key: str = option(
        "",
        "private key to log in with; by default ssh_config's, else the agent's and those in ~/.ssh",
        env="GENERIC_SSH_KEY",
        metavar="FILE",
    )
    ssh_port: int = option(0, "SSH port; by default ssh_config's, else 22", env="GENERIC_SSH_PORT", metavar="PORT")
    engine_port: int = option(2376, "port of the engine", env="GENERIC_ENGINE_PORT", metavar="PORT")
    proxy_jump: str = option(
        "",
        "jump hosts to go through, [USER@]HOST[:PORT], separated by commas; by default ssh_config's",
        env="GENERIC_PROXY_JUMP",
        metavar="HOSTS",
    )
    ssh_config: str = option(
        "",
        "read this ssh_config; by default ~/.ssh/config and the system's",
        env="GENERIC_SSH_CONFIG",
        metavar="FILE",
    )
    sudo_password_stdin: bool = option(
        False, f"read sudo's password from standard input; ${SUDO_PASSWORD} and the terminal are the other ways"
    )
    keep_hostname: bool = option(False, "leave the host's name as it is", env="GENERIC_KEEP_HOSTNAME")
    takeover: bool = option(
        False, "replace the certificates of another pymachine's machine on the host, which that one then cannot reach"
    )

    def problems(self) -> list[str]:
        """Everything wrong with the values in themselves."""
        return list(self._problems())

    def _problems(self) -> Iterator[str]:
        if not self.ip_address:
            yield "generic driver requires the --generic-ip-address option"
        elif self.ip_address.startswith("-") or any(letter.isspace() for letter in self.ip_address):
            yield f"--generic-ip-address: {self.ip_address!r} is no host"
        if not 0 <= self.ssh_port <= 65535:
            yield f"--generic-ssh-port: {self.ssh_port} is no port"
        if not 1 <= self.engine_port <= 65535:
            yield f"--generic-engine-port: {self.engine_port} is no port"
