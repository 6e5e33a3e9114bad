"""What the controller knows of each live container's network beyond the plain `Sandbox`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pymachine.engine.network.base import Sandbox
from pymachine.engine.network.forwarder import Relay
from pymachine.engine.network.nameserver import NameServer
from pymachine.engine.network.ports import HeldPort
from pymachine.engine.network.rules import Published


@dataclass(slots=True)
class LiveSandbox:
    """A sandbox, and what the daemon holds for it."""

    sandbox: Sandbox
    held: list[HeldPort] = field(default_factory=list)
    relays: list[Relay] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)
    wired: bool = False
    nameserver: NameServer | None = None

    def close_relays(self) -> None:
        """End its forwarders."""
        for relay in self.relays:
            relay.close()
        self.relays.clear()


class NamespaceLinks:
    """Links in the run-time folder to the containers' network namespaces, as ``SandboxKey`` names them.
    They tell other programs, and the daemon after a restart, whose process to look at."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, container_id: str) -> Path:
        return self._folder / container_id[:12]

    def put(self, container_id: str, pid: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        link = self.path(container_id)
        link.unlink(missing_ok=True)
        link.symlink_to(f"/proc/{pid}/ns/net")

    def remove(self, container_id: str) -> None:
        self.path(container_id).unlink(missing_ok=True)

    def keep_only(self, container_ids: set[str]) -> None:
        """Remove the links of containers that are no more."""
        if self._folder.is_dir():
            kept = {self.path(container).name for container in container_ids}
            for link in self._folder.iterdir():
                if link.name not in kept:
                    link.unlink(missing_ok=True)
