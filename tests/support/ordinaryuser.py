"""An ordinary user of this computer, made for a test, with what sudo allows; gone afterwards with all they own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import pymachine
from pymachine.drivers.local.privileged.client import MODULE
from support.terminal import converse

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class OrdinaryUser:
    """Who runs the program by an installation that everybody may use."""

    name: str
    uid: int
    home: Path
    password: str
    python: str
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        return self.home / "store"

    def argv(self, *args: str) -> list[str]:
        return [self.python, "-m", "pymachine", "-s", str(self.store), *args]

    def environment(self) -> dict[str, str]:
        own = {"HOME": str(self.home), "USER": self.name, "LOGNAME": self.name, "SHELL": "/bin/sh"}
        return {"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8", **own, **self.env}

    def start(self, *argv: str, stderr: int | None = None) -> subprocess.Popen[str]:
        """Any program, as the user, its input and output piped."""
        pipe, user = subprocess.PIPE, self._as_the_user(self.environment())
        return subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=stderr, text=True, **user)

    def run(
        self, *argv: str, stdin: str = "", timeout: float = 200, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Any program, as the user, without a terminal."""
        return subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            start_new_session=True,
            **self._as_the_user({**self.environment(), **(env or {})}),
        )

    def _as_the_user(self, env: Mapping[str, str]) -> dict[str, Any]:
        return {"env": env, "cwd": self.home, "user": self.uid, "group": self.uid, "extra_groups": []}

    def pymachine(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return self.run(*self.argv(*args), env=env)

    def ok(self, *args: str) -> str:
        """Standard output of a run that must succeed."""
        done = self.pymachine(*args)
        assert done.returncode == 0, f"{args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def on_terminal(self, *argv: str, answers: list[tuple[str, str]]) -> tuple[int, str]:
        """Any program, as the user, on a terminal where *answers* are typed; its exit code and the screen."""
        become = ["/usr/bin/setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups", "--"]
        return converse([*become, *argv], {**self.environment(), "TERM": "dumb"}, answers)

    def rule(self, tag: str) -> str:
        """What sudoers lets the user run: the helper, and nothing else."""
        return f"ALL=(root) {tag}{shlex.join([self.python, '-I', '-m', MODULE])}"

    def helper(self, *messages: dict[str, Any]) -> list[dict[str, Any]]:
        """Send messages to the helper by hand; all that it says until it ends."""
        lines = "".join(f"{json.dumps(message)}\n" for message in messages)
        done = self.run("sudo", "-n", self.python, "-I", "-m", MODULE, stdin=lines)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def allow(self, rule: str) -> None:
        """The user's line in sudoers; empty for none."""
        path = Path("/etc/sudoers.d", self.name)
        path.unlink(missing_ok=True)
        if rule:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o440), "w") as file:
                file.write(f"Defaults:{self.name} timestamp_timeout=0\n{self.name} {rule}\n")


@contextlib.contextmanager
def ordinary_user(env: Mapping[str, str]) -> Iterator[OrdinaryUser]:
    """A new user; *env* are variables of each run."""
    name = f"pymtest{secrets.token_hex(3)}"
    place = Path(tempfile.mkdtemp(prefix="pymachine-user-", dir="/var/tmp"))
    place.chmod(0o755)
    home = place / "home"
    try:
        python = _installation(place / "python")
        _run(["useradd", "-m", "-d", str(home), "-s", "/bin/sh", "-U", name])
        password = secrets.token_hex(12)
        _run(["chpasswd"], f"{name}:{password}\n")
        uid = home.stat().st_uid
        yield OrdinaryUser(name, uid, home, password, python, env)
    finally:
        Path("/etc/sudoers.d", name).unlink(missing_ok=True)
        subprocess.run(["userdel", "-f", name], capture_output=True)
        shutil.rmtree(place)


def _run(argv: list[str], stdin: str = "") -> None:
    subprocess.run(argv, input=stdin, check=True, capture_output=True, text=True)


def _installation(place: Path) -> str:
    """A Python that every user can run, with this package as root would install it: that of the tests, and their
    checkout, may be in somebody's home."""
    base = Path(sys.executable).resolve()
    if not _open_to_all(base):
        base = Path(f"/usr/bin/python3.{sys.version_info.minor}")
    assert base.exists(), "no Python that every user may run"
    _run([str(base), "-m", "venv", "--without-pip", str(place)])
    packages = place / f"lib/python3.{sys.version_info.minor}/site-packages"
    shutil.copytree(
        Path(pymachine.__file__).parent, packages / "pymachine", ignore=shutil.ignore_patterns("__pycache__")
    )
    for file in sorted(_files_needed("pymachine", set())):
        if not file.is_absolute() and ".." not in file.parts and "__pycache__" not in file.parts:
            (packages / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.locate(), packages / file)
    return str(place / "bin/python")


def _files_needed(name: str, seen: set[str]) -> Iterator[metadata.PackagePath]:
    """The files of all that a package requires, without extras."""
    for line in metadata.requires(name) or []:
        required = re.split(r"[^\w.-]", line, maxsplit=1)[0].lower()
        if "extra ==" in line or required in seen:
            continue
        seen.add(required)
        with contextlib.suppress(metadata.PackageNotFoundError):  # what only other systems need
            yield from metadata.files(required) or []
            yield from _files_needed(required, seen)


def _open_to_all(path: Path) -> bool:
    return all(place.stat().st_mode & 0o001 for place in (path, *path.parents))
