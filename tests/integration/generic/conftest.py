"""Hosts to adopt: real systemd machines that nobody has provisioned, and a user on them who has to type a password."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pymachine.drivers.local.options import Options
from pymachine.machine.errors import MachineError
from support.localmachine import LocalMachine, local_machine
from support.localroot import ensure_image, local_root
from support.program import Program

TOOLS = Path(__file__).resolve().parents[3] / ".cache/tools"
PASSWORD = "c0rrect horse"


@dataclass(frozen=True)
class Host:
    """A machine as somebody else's host: all that is known of it is how to log in."""

    machine: LocalMachine

    @property
    def address(self) -> str:
        return self.machine.driver.address()

    @property
    def key(self) -> Path:
        path = self.machine.driver.ssh_endpoint().key_path
        assert path is not None
        return path

    @property
    def flags(self) -> tuple[str, ...]:
        """What create needs to adopt it as root."""
        return ("-d", "generic", "--generic-ip-address", self.address, "--generic-ssh-key", str(self.key))

    def run(self, command: str, *, check: bool = True, stdin: str = "") -> str:
        """As root, by the ssh program."""
        return self.machine.ssh(command, check=check, stdin=stdin)

    def host_key(self) -> str:
        """Type and key."""
        return " ".join(self.run("cat /etc/ssh/ssh_host_ed25519_key.pub").split()[:2])

    def add_user(self, name: str) -> None:
        """One with root's key and `PASSWORD`, who may use sudo after typing it."""
        self.run(
            f"useradd -m -s /bin/sh {name}; cp -r /root/.ssh /home/{name}/; chown -R {name}: /home/{name};"
            f"echo '{name} ALL=(ALL) ALL' > /etc/sudoers.d/{name}; chpasswd",
            stdin=f"{name}:{PASSWORD}\n",
        )


def image_or_skip(name: str) -> str:
    """Mirrors drop old releases."""
    try:
        ensure_image(name)
        return name
    except MachineError as error:
        pytest.skip(f"there is no image {name}: {error}")


@pytest.fixture(scope="package", autouse=True)
def root() -> Iterator[Path]:
    with local_root() as path:
        yield path


@pytest.fixture(scope="package")
def bookworm(root: Path) -> Iterator[Host]:
    """Debian 12, with a Docker's programs in /opt/tools."""
    mounts = (f"{TOOLS}:/opt/tools:ro",) if TOOLS.is_dir() else ()
    with local_machine("bookworm", Options(image=image_or_skip("debian-12"), mount=mounts)) as machine:
        yield Host(machine.create())


@pytest.fixture(scope="package")
def trixie(root: Path) -> Iterator[Host]:
    """Debian 13."""
    with local_machine("trixie", Options(image=image_or_skip("debian-13"))) as machine:
        yield Host(machine.create())


@pytest.fixture(scope="package")
def bullseye(root: Path) -> Iterator[Host]:
    """Debian 11."""
    with local_machine("bullseye", Options(image=image_or_skip("debian-11"))) as machine:
        yield Host(machine.create())


@pytest.fixture
def program() -> Iterator[Program]:
    """The program with an empty store."""
    place = Path(tempfile.mkdtemp(prefix="pymachine-test-"))
    try:
        yield Program(place / "store")
    finally:
        shutil.rmtree(place)
