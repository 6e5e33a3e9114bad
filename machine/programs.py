"""Programs of this computer that some commands need, and what to do when one is missing."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Sequence

from pymachine.machine.errors import MissingRequirement


def find_program(*names: str, package: str, complaint: str) -> str:
    """The path of the first of *names* that there is; raises `MissingRequirement` naming Debian's *package*."""
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    raise MissingRequirement(complaint, hint=f"apt-get install -y --no-install-recommends {package}")


def run_here(words: Sequence[str]) -> int:
    """Run a program on this terminal; its exit status, 128 + n when signal n ended it."""
    process = subprocess.Popen(words)
    while True:
        with contextlib.suppress(KeyboardInterrupt):  # the program has it too, and ends in its own way
            status = process.wait()
            return status if status >= 0 else 128 - status
