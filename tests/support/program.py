"""Run the real ``pymachine`` program against a store of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PROGRAM = str(Path(sys.executable).with_name("pymachine"))
NO_MACHINES = "NAME   ACTIVE   DRIVER   STATE   URL   SWARM   DOCKER   ERRORS\n"
"""What ``ls`` prints where there are none."""
_OURS = ("MACHINE_", "DOCKER_", "LOCAL_", "ENGINE_")


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without settings that would change the outcome."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    # Machines that expire are not to leave units on the computer that tests run on.
    return {**inherited, "SHELL": "/bin/sh", "PYMACHINE_EXPIRY_TIMER": "no", **(changes or {})}


@dataclass(frozen=True)
class Program:
    """The program with ``--storage-path``."""

    store: Path
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables of every run."""

    def argv(self, *args: str) -> list[str]:
        """The command line."""
        return [PROGRAM, "-s", str(self.store), *args]

    def run(
        self, *args: str, stdin: str = "", env: Mapping[str, str] | None = None, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end, whatever the exit code."""
        return subprocess.run(
            self.argv(*args),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment({**self.env, **(env or {})}),
        )

    def ok(self, *args: str, stdin: str = "", env: Mapping[str, str] | None = None, timeout: float = 300) -> str:
        """Run; standard output of a run that must succeed."""
        done = self.run(*args, stdin=stdin, env=env, timeout=timeout)
        assert done.returncode == 0, f"{args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start, in a process group of its own."""
        return subprocess.Popen(
            self.argv(*args),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment({**self.env, **(env or {})}),
            start_new_session=True,
        )
