"""Commands run on this computer: the one place where the local driver starts programs and waits for them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from pymachine.machine.errors import DeadlineExceeded, DriverError, MissingRequirement

PACKAGES = {
    "systemd-nspawn": "systemd-container",
    "systemd-run": "systemd",
    "ip": "iproute2",
    "iptables": "iptables",
    "iptables-restore": "iptables",
    "mmdebstrap": "mmdebstrap",
}
"""Debian's package of each program."""

SEARCH_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
"""Users' own PATH often lacks the system's folders, and ``sudo`` may keep it."""


def find(program: str) -> str | None:
    """The path of a program, or ``None``."""
    return shutil.which(program, path=SEARCH_PATH)


def missing(program: str) -> MissingRequirement:
    """The error for a program that is not installed, with the line that installs it."""
    package = PACKAGES.get(program, program)
    return MissingRequirement(
        f"{program} is not installed", hint=f"sudo apt-get install -y --no-install-recommends {package}"
    )


def run(
    argv: Sequence[str], *, stdin: str = "", check: bool = True, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end.

    Raises `MissingRequirement` when it is not installed, `DriverError` with its last line when *check* and
    its status is not 0, `DeadlineExceeded` after *timeout* seconds (it is killed then).
    """
    path = find(argv[0])
    if path is None:
        raise missing(argv[0])
    environment = {**os.environ, "PATH": SEARCH_PATH, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            [path, *argv[1:]],
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        raise DeadlineExceeded(f"running {argv[0]}", timeout) from None
    if check and done.returncode:
        raise DriverError(f"{' '.join(argv[:4])} failed: {last_line(done.stderr or done.stdout)}")
    return done


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"
