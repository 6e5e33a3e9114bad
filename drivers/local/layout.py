"""Where the local driver keeps things.

::

    /var/lib/pymachine              $PYMACHINE_LOCAL_ROOT
    ├── id                          names this root
    ├── images/                     $PYMACHINE_IMAGE_ROOT
    ├── network/state.json          subnets, bridges and who has which address
    └── machines/<id>/
        ├── machine.json            what the machine was made from
        ├── upper, work             the copy-on-write layer over the image
        ├── root                    where the overlay is mounted, in the supervisor's namespace only
        ├── data/                   directories of the real file system, mounted into the machine
        ├── resolv.conf             bound over the machine's own
        ├── launch.json, pid.json   how it was started, and its process
        ├── lock                    held while it is started and runs
        └── console.log, console.log.1
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT_ROOT = Path("/var/lib/pymachine")


@dataclass(frozen=True, slots=True)
class MachinePaths:
    """The folder of one machine."""

    directory: Path

    @property
    def record(self) -> Path:
        return self.directory / "machine.json"

    @property
    def upper(self) -> Path:
        return self.directory / "upper"

    @property
    def work(self) -> Path:
        return self.directory / "work"

    @property
    def root(self) -> Path:
        return self.directory / "root"

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def resolv_conf(self) -> Path:
        return self.directory / "resolv.conf"

    @property
    def launch(self) -> Path:
        return self.directory / "launch.json"

    @property
    def pid(self) -> Path:
        return self.directory / "pid.json"

    @property
    def lock(self) -> Path:
        return self.directory / "lock"

    @property
    def console(self) -> Path:
        return self.directory / "console.log"


@dataclass(frozen=True, slots=True)
class Layout:
    """The local root and the image root."""

    root: Path
    images: Path

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> Layout:
        """As the environment says, else the default."""
        root = Path(env.get("PYMACHINE_LOCAL_ROOT") or DEFAULT_ROOT).absolute()
        images = env.get("PYMACHINE_IMAGE_ROOT")
        return cls(root, Path(images).absolute() if images else root / "images")

    @property
    def machines(self) -> Path:
        return self.root / "machines"

    @property
    def network(self) -> Path:
        return self.root / "network"

    def identity(self, *, make: bool = False) -> str:
        """An id of this local root, so that machines know theirs; empty when it has none and is not to *make* it."""
        path = self.root / "id"
        if make:
            self._make_identity(path)
        return path.read_text().strip() if path.exists() else ""

    def _make_identity(self, path: Path) -> None:
        """Unless there is one: whoever comes first wins, and all agree."""
        while not path.exists():
            self.root.mkdir(parents=True, exist_ok=True)
            new = self.root / f".id.{uuid.uuid4()}"
            new.write_text(str(uuid.uuid4()))
            with contextlib.suppress(FileExistsError, FileNotFoundError):  # another was first, and took ours away
                os.link(new, path)  # never replaces
            new.unlink(missing_ok=True)
        for left in self.root.glob(".id.*"):  # by processes that were killed
            left.unlink(missing_ok=True)

    def machine(self, machine_id: str) -> MachinePaths:
        """The folder of a machine. Its id is checked: it becomes part of paths that are removed."""
        if not machine_id or not all(char.isalnum() or char == "-" for char in machine_id):
            raise ValueError(f"{machine_id!r} is not a machine id")
        return MachinePaths(self.machines / machine_id)


def short_name(machine_id: str) -> str:
    """The machine's name in nspawn's eyes: with ``vb-`` before it, just an interface name's 15 bytes."""
    return f"pym-{machine_id.replace('-', '')[:8]}"


def veth_name(machine_id: str) -> str:
    """The machine's port on the bridge, as systemd-nspawn(1) names it."""
    return f"vb-{short_name(machine_id)}"
