"""A real SSH server of the test's own, on loopback, with its own keys and its own list of users' keys."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pymachine.machine.ssh.base import SSHEndpoint
from pymachine.machine.ssh.keys import ensure_key

SSHD = "/usr/sbin/sshd"


@dataclass
class SSHServer:
    """A running sshd(8)."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes]

    def endpoint(self, *, user: str = "root") -> SSHEndpoint:
        """How to reach it, with the key it accepts."""
        return SSHEndpoint(
            "127.0.0.1",
            user=user,
            port=self.port,
            key_path=self.directory / "id_client",
            known_hosts=self.directory / "known_hosts",
        )

    def log(self) -> str:
        """What it wrote so far."""
        return (self.directory / "sshd.log").read_text()

    def children(self) -> list[int]:
        """The processes that serve connections."""
        listing = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in listing.split()]

    def restart(self) -> None:
        """End it, and start it again on the same port (with whatever host key is there now)."""
        stop(self.process)
        self.process = start(self.directory, self.port)


def free_port() -> int:
    """A port that nobody listens on now, below those that the kernel gives to clients (ip(7)): one of these could be
    taken, even by the client that tries to connect to it, while the server is down."""
    while True:
        port = random.randint(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def new_host_key(directory: Path, kind: str = "ed25519") -> None:
    """Give the server another host key."""
    key = directory / "host_key"
    key.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", key], check=True, stdin=subprocess.DEVNULL)


@contextlib.contextmanager
def ssh_server(directory: Path, *, extra: str = "") -> Iterator[SSHServer]:
    """A server for root (or whoever runs the test); *extra* lines of configuration come first."""
    directory.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd's empty directory; /run is gone with each boot
    new_host_key(directory)
    public = ensure_key(directory / "id_client")
    keys = directory / "authorized_keys"
    keys.write_text(f"{public}\n")
    port = free_port()
    (directory / "sshd_config").write_text(
        f"{extra}\nListenAddress 127.0.0.1\nHostKey {directory}/host_key\nAuthorizedKeysFile {keys}\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
        "MaxStartups 100\nLogLevel VERBOSE\n"
    )
    server = SSHServer(directory, port, start(directory, port))
    try:
        yield server
    finally:
        stop(server.process)


def start(directory: Path, port: int) -> subprocess.Popen[bytes]:
    """Run sshd in the foreground; returns when it listens."""
    command = [SSHD, "-D", "-f", f"{directory}/sshd_config", "-p", str(port), "-E", f"{directory}/sshd.log"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    end = time.monotonic() + 10
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return process
        time.sleep(0.01)
    stop(process)
    raise RuntimeError(f"sshd did not start: {(directory / 'sshd.log').read_text()}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End it, and reap it."""
    if process.poll() is None:
        process.terminate()
        process.wait(10)
