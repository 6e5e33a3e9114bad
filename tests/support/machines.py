"""A machine that the program made, with the docker CLI pointed at it."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

from support.program import Program, environment


@dataclass(frozen=True)
class Machine:
    """One machine by name."""

    program: Program
    name: str

    def docker_env(self) -> dict[str, str]:
        """The environment after ``eval $(pymachine env NAME)``."""
        exports = self.program.ok("env", "--shell", "bash", self.name)
        return environment(dict(re.findall(r'^export (\w+)="(.*)"$', exports, re.MULTILINE)))

    def run(self, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A docker command, whatever its exit code."""
        return subprocess.run(
            ["docker", *args], input=stdin, env=self.docker_env(), capture_output=True, text=True, timeout=120
        )

    def docker(self, *args: str, stdin: str = "") -> str:
        """The output of a docker command that must succeed."""
        done = self.run(*args, stdin=stdin)
        assert done.returncode == 0, f"docker {args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def ssh(self, *command: str) -> str:
        """The output of a command on the machine that must succeed."""
        return self.program.ok("ssh", self.name, *command).strip()

    def address(self) -> str:
        """Its address."""
        return self.program.ok("ip", self.name).strip()
