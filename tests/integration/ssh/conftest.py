"""A real sshd for every test module, and for root's tests a user who is not root."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.sshd import SSHServer, ssh_server


@pytest.fixture(scope="module")
def server() -> Iterator[SSHServer]:
    """Its directory can be read by all: sshd looks up a user's keys with that user's rights."""
    with tempfile.TemporaryDirectory(prefix="pymachine-sshd-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        with ssh_server(directory) as running:
            yield running


@pytest.fixture(scope="module")
def user() -> Iterator[str]:
    """The name of a new user, with a home and no rights."""
    name = f"pymt{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="pymachine-home-") as home:
        subprocess.run(["useradd", "-M", "-d", home, "-s", "/bin/sh", "-p", "*", name], check=True)
        try:
            subprocess.run(["chown", name, home], check=True)
            yield name
        finally:
            subprocess.run(["userdel", "-f", name], check=True, capture_output=True)


@pytest.fixture
def sudoer(user: str) -> Iterator[str]:
    """The same user, who may use sudo without a password."""
    rule = Path(f"/etc/sudoers.d/{user}")
    rule.write_text(f"{user} ALL=(ALL) NOPASSWD: ALL\n")
    rule.chmod(0o440)
    try:
        yield user
    finally:
        rule.unlink()
