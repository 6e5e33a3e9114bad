"""Host keys: pinned at first contact, compared ever after (the file format of sshd(8), SSH_KNOWN_HOSTS).

A machine's own file holds that machine's keys and no others, so every line of it counts, whatever address the
machine had when the line was written. The user's ``~/.ssh/known_hosts`` is for many hosts: there a line counts
when it names the host.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import hmac
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pymachine.machine.errors import MachineError, SSHError
from pymachine.machine.ssh.base import SSHEndpoint
from pymachine.store.atomic import replace_file
from pymachine.store.portable import open_file


@dataclass(frozen=True, slots=True)
class KnownKey:
    """One line of a known_hosts file."""

    line: int
    hosts: str
    type: str
    key: str
    """Base64."""
    revoked: bool = False


class KnownHosts:
    """What is known of one endpoint's host key."""

    def __init__(self, endpoint: SSHEndpoint) -> None:
        self.name = host_name(endpoint)
        self.path = endpoint.known_hosts or Path.home() / ".ssh" / "known_hosts"
        self._own = endpoint.known_hosts is not None
        self.keys = [key for key in _read(self.path) if self._own or _names(key.hosts, self.name)]

    @property
    def alias(self) -> str:
        """The name under which ssh(1) finds the pinned key of the machine's own file; empty when there is none."""
        usable = (key.hosts for key in self.keys if self._own and not key.hosts.startswith("|"))
        return next(usable, "").split(",")[0]

    def types(self) -> list[str]:
        """Key types pinned; the server must be asked for one of these, or it may offer another."""
        return [key.type for key in self.keys if not key.revoked]

    def verify(self, key_type: str, key: str) -> None:
        """Compare the server's key (*key* in base64); pin it at first contact.

        Raises `SSHError` that names file and line when another key is pinned or this one is revoked.
        """
        for known in self.keys:
            if known.revoked and known.key == key:
                raise SSHError(f"the host key of {self.name} is marked as revoked in {self.path}:{known.line}")
        pinned = [known for known in self.keys if not known.revoked]
        if any(known.type == key_type and known.key == key for known in pinned):
            return
        if pinned:
            raise self._changed(pinned, key_type, key)
        self._pin(key_type, key)

    def _changed(self, pinned: list[KnownKey], key_type: str, key: str) -> SSHError:
        lines = ", ".join(str(known.line) for known in pinned)
        script = ";".join(f"{known.line}d" for known in pinned)
        return SSHError(
            f"the host key of {self.name} has changed: pinned in {self.path} (line {lines}) is "
            f"{fingerprint(pinned[0].key)}, the host shows {key_type} {fingerprint(key)}; "
            "somebody may be listening in, or the host was made anew",
            hint=f"if you know why it changed, forget the old key: sed -i '{script}' '{self.path}'",
        )

    def _pin(self, key_type: str, key: str) -> None:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = open_file(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            with open(handle, "wb") as file:
                file.write(f"{self.name} {key_type} {key}\n".encode())
                file.flush()
                os.fsync(handle)
        except OSError as error:
            raise MachineError(f"cannot pin the host key in {self.path}: {error.strerror or error}") from error


def known_keys(name: str, path: Path) -> list[KnownKey]:
    """The keys that a known_hosts file of many hosts has for *name* (as `host_name` writes it)."""
    return [key for key in _read(path) if _names(key.hosts, name)]


def write_known_hosts(path: Path, name: str, keys: Iterable[KnownKey]) -> None:
    """Make *path* a machine's own file, with these keys under *name*."""
    lines = [f"{'@revoked ' if key.revoked else ''}{name} {key.type} {key.key}\n" for key in keys]
    try:
        replace_file(path, "".join(lines).encode())
    except OSError as error:
        raise MachineError(f"cannot pin the host key in {path}: {error.strerror or error}") from error


def host_name(endpoint: SSHEndpoint) -> str:
    """How known_hosts writes a host: ``host``, or ``[host]:port`` when the port is not 22."""
    return endpoint.host if endpoint.port == 22 else f"[{endpoint.host}]:{endpoint.port}"


def fingerprint(key: str) -> str:
    """``SHA256:…`` as ssh-keygen(1) shows it, of a key in base64."""
    try:
        digest = hashlib.sha256(base64.b64decode(key)).digest()
    except ValueError:
        return "unreadable"
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _read(path: Path) -> Iterator[KnownKey]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    except OSError as error:
        raise MachineError(f"cannot read {path}: {error.strerror or error}") from error
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        marker = fields.pop(0) if fields[0].startswith("@") else ""
        if len(fields) >= 3 and marker in ("", "@revoked"):  # certificate authorities are not supported
            yield KnownKey(number, fields[0], fields[1], fields[2], revoked=bool(marker))


def _names(hosts: str, name: str) -> bool:
    """Whether a line's host field is about *name*: hashed, or a list of patterns where ``!`` excludes."""
    if hosts.startswith("|1|"):
        return _hashed_names(hosts, name)
    found = False
    for pattern in hosts.split(","):
        excludes = pattern.startswith("!")
        # fnmatch knows [...], known_hosts does not: there brackets are part of the name
        if fnmatch.fnmatchcase(name.lower(), pattern.lstrip("!").lower().replace("[", "[[]")):
            if excludes:
                return False
            found = True
    return found


def _hashed_names(hosts: str, name: str) -> bool:
    try:
        _, _, salt, digest = hosts.split("|")
        made = hmac.new(base64.b64decode(salt), name.encode(), "sha1").digest()
        return hmac.compare_digest(made, base64.b64decode(digest))
    except ValueError:
        return False
