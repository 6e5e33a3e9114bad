"""A real ``pyengine`` process with folders, a bridge and cgroups of its own, for the time of a test."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pymachine.engine.events import EventBus
from pymachine.engine.network import wiring
from pymachine.engine.network.config import NetworkConfig
from pymachine.engine.network.controller import BridgeController
from support.addresses import address_range


@dataclass
class EngineProcess:
    """Start it, stop it, start it again on the same data."""

    folder: Path
    config: dict[str, Any] = field(default_factory=dict)
    """Keys of daemon.json, beside those that keep tests apart."""
    addresses: str = "10.79.0.0/16"
    """For networks."""
    name: str = field(default_factory=lambda: f"pye{secrets.token_hex(3)}")
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.folder / "docker.sock"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def configure(self) -> list[str]:
        """Write the configuration file; the command line that uses it."""
        document = {
            "hosts": [f"unix://{self.socket}"],
            "data-root": str(self.folder / "data"),
            "exec-root": str(self.folder / "exec"),
            "pidfile": str(self.folder / "pid"),
            "bridge": self.name,
            "cgroup-parent": self.name,
            "default-address-pools": [{"base": self.addresses, "size": 24}],
            **self.config,
        }
        file = self.folder / "daemon.json"
        file.write_text(json.dumps(document))
        return [sys.executable, "-m", "pymachine.engine.main", "--config-file", str(file)]

    def start(self, timeout: float = 60.0) -> None:
        """Start, and wait until it says that it is ready (as it would to systemd)."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices, (self.folder / "log").open("ab") as log:
            address = self.folder / f"notify-{secrets.token_hex(3)}"
            notices.bind(str(address))
            notices.settimeout(0.1)
            environment = {**os.environ, "NOTIFY_SOCKET": str(address)}
            self.process = subprocess.Popen(self.configure(), env=environment, stdout=log, stderr=log)
            deadline = time.monotonic() + timeout
            while True:
                with suppress(TimeoutError):
                    if b"READY=1" in notices.recv(4096):
                        return
                assert self.process.poll() is None, f"the engine ended:\n{self.log}"
                assert time.monotonic() < deadline, f"the engine does not start:\n{self.log}"

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; its exit code."""
        if self.process is None:
            return 0
        self.process.send_signal(number)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the engine does not end:\n{self.log}") from None
        finally:
            self.process = None

    def docker(self, *words: str, check: bool = True, input: str | None = None) -> str:
        """What the docker CLI prints on standard output; on failure an assertion that shows the errors."""
        done = self.run(*words, input=input)
        if check:
            assert done.returncode == 0, f"docker {' '.join(words)}: {done.stdout}{done.stderr}\n{self.log}"
        return done.stdout

    def run(self, *words: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        """The docker CLI against this engine."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "DOCKER_HOST": f"unix://{self.socket}",
        }
        return subprocess.run(
            ["docker", *words], env=environment, capture_output=True, text=True, input=input, timeout=60
        )

    def clean(self) -> None:
        """Take away what an engine leaves on the host: bridges, rules, cgroups."""
        asyncio.run(self._remove_networks())
        # Not by "**", which trips over control groups that others remove meanwhile.
        for parent in (Path("/sys/fs/cgroup", self.name), *Path("/sys/fs/cgroup").glob(f"*/{self.name}")):
            for folder in sorted(parent.glob("**/"), reverse=True):
                with suppress(OSError):
                    folder.rmdir()

    async def _remove_networks(self) -> None:
        config = NetworkConfig(bridge=self.name, ip_forward=False, default_address_pools=((self.addresses, 24),))
        controller = BridgeController(self.folder / "data" / "networks", self.folder / "exec", config, EventBus())
        await controller.start([])
        await controller.remove_all()
        assert self.name not in wiring.look().bridges


@contextmanager
def engine(folder: Path, **config: Any) -> Iterator[EngineProcess]:
    """A running engine; containers that are left are removed at the end."""
    keys = {key.replace("_", "-"): value for key, value in config.items()}
    with address_range() as addresses, _ended(EngineProcess(folder, keys, str(addresses))) as made:
        made.start()
        yield made


@contextmanager
def _ended(made: EngineProcess) -> Iterator[EngineProcess]:
    """Nothing of it is left after the block."""
    try:
        yield made
    finally:
        if made.process is None or made.process.poll() is not None:
            with suppress(AssertionError):  # it was killed: only an engine can end what it left running
                made.start()
        if made.process is not None and made.process.poll() is None:
            left = made.run("ps", "-aq").stdout.split()
            if left:
                made.run("rm", "-f", *left)
            made.stop()
        made.clean()
