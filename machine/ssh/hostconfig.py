"""What ssh_config(5) says of a host: address, user, port, key, the way there, and under which name its key is known.

paramiko reads the files; ``Include`` is ours. An included file's blocks stand at the place of its ``Include``, which
is what OpenSSH does for an ``Include`` outside of blocks; within one its condition does not reach into the file.
"""

from __future__ import annotations

import glob
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pymachine.machine.errors import InvalidOption

SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
DEEPEST = 16
"""Files that may include each other; as in OpenSSH."""
_NONE = ("", "none")


@dataclass(frozen=True, slots=True)
class HostConfig:
    """How a host is reached; empty fields are not configured."""

    address: str
    user: str = ""
    port: int = 0
    keys: tuple[Path, ...] = ()
    """Private keys named for the host, in order."""
    proxy_command: str = ""
    """As `SSHEndpoint` takes it; jump hosts have become ``ssh -W``."""
    alias: str = ""
    """``HostKeyAlias``."""
    known_hosts: tuple[Path, ...] = ()


def user_config() -> Path:
    """Where ssh(1) looks for the user's own."""
    return Path.home() / ".ssh" / "config"


def host_config(name: str, *, config: Path | None = None, jump: str = "") -> HostConfig:
    """What is configured for the host *name*, by *config* (default: the user's, then the system's).

    *jump* takes the place of a configured ``ProxyJump`` or ``ProxyCommand``; ``none`` is none of them. Raises
    `InvalidOption` when a file cannot be read or understood.
    """
    files = [config] if config else [user_config(), SYSTEM_CONFIG]
    if config and not config.is_file():
        raise InvalidOption(f"there is no SSH configuration file {config}")
    found = _lookup(files, name)
    port = str(found.get("port", ""))
    if port and not port.isdigit():
        raise InvalidOption(f"the SSH configuration of {name} has a port that is no number: {port!r}")
    return HostConfig(
        address=str(found.get("hostname", name)),
        user=str(found.get("user", "")),
        port=int(port or 0),
        keys=tuple(Path(path).expanduser() for path in found.get("identityfile", ()) if path not in _NONE),
        proxy_command=_proxy(found, files, jump, config),
        alias=str(found.get("hostkeyalias", "")),
        known_hosts=tuple(Path(path).expanduser() for path in shlex.split(str(found.get("userknownhostsfile", "")))),
    )


def _lookup(files: Sequence[Path], name: str) -> Mapping[str, Any]:
    from paramiko.config import SSHConfig

    # What stands before the first Host of a file is for all hosts, also after the blocks of another file.
    text = "\nHost *\n".join("\n".join(_lines(path, 0)) for path in files)
    try:
        return dict(SSHConfig.from_text(text).lookup(name))
    except Exception as error:  # paramiko's parser raises ValueError, its own exceptions, and those of an exec program
        raise InvalidOption(
            f"cannot use the SSH configuration in {files[0]}: {error or type(error).__name__}"
        ) from error


def _lines(path: Path, depth: int) -> Iterator[str]:
    """A file's lines with its includes in place; a file that is not there has none."""
    if depth > DEEPEST:
        raise InvalidOption(f"SSH configuration files include each other too deeply: {path}")
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise InvalidOption(f"cannot read the SSH configuration {path}: {error.strerror}") from error
    block = "Host *"
    for line in text.splitlines():
        word, _, rest = line.strip().replace("=", " ", 1).partition(" ")
        if word.lower() in ("host", "match"):
            block = line
        if word.lower() == "include":
            for pattern in shlex.split(rest):
                for included in sorted(glob.glob(str(_beside(path, pattern)))):
                    yield from _lines(Path(included), depth + 1)
            yield block
        else:
            yield line


def _beside(path: Path, pattern: str) -> Path:
    """Relative patterns are taken from ``~/.ssh``, or from /etc/ssh in the system's file (ssh_config(5))."""
    return path.parent / Path(pattern).expanduser()


def _proxy(found: Mapping[str, Any], files: Sequence[Path], jump: str, config: Path | None) -> str:
    """The proxy command; of ProxyJump and ProxyCommand the one that was found first counts."""
    if jump:
        return "" if jump == "none" else jump_command(jump, files, config)
    for key in found:
        value = str(found[key] or "")
        if key == "proxyjump" and value not in _NONE:
            return jump_command(value, files, config)
        if key in ("proxycommand", "proxyjump"):
            return "" if value in _NONE else value
    return ""


def jump_command(jump: str, files: Sequence[Path], config: Path | None) -> str:
    """``ssh -W`` through one or more jump hosts, ``[USER@]HOST[:PORT]`` separated by commas.

    It asks no questions. A jump host whose key is new is trusted and noted in the user's own known_hosts, unless the
    configuration says something else about it.
    """
    *before, last = [hop.strip() for hop in jump.split(",")]
    user, host, port = _hop(last)
    words = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
    if config:
        words += ["-F", str(config.absolute())]
    if "stricthostkeychecking" not in _lookup(files, host):
        words += ["-o", "StrictHostKeyChecking=accept-new"]
    if before:
        words += ["-o", f"ProxyCommand={jump_command(','.join(before), files, config)}"]
    words += ["-l", user] if user else []
    words += ["-p", port] if port else []
    command = shlex.join(word.replace("%", "%%") for word in words)
    return f"{command} -W '['%h']':%p -- {shlex.quote(host.replace('%', '%%'))}"


def _hop(text: str) -> tuple[str, str, str]:
    """User, host and port of one jump host; ``ssh://`` URLs are fine."""
    problem = InvalidOption(f"{text!r} is no jump host of the form [USER@]HOST[:PORT]")
    parts = urlsplit(text if text.startswith("ssh://") else f"ssh://{text}")
    try:
        user, host, port = parts.username or "", parts.hostname or "", str(parts.port or "")
    except ValueError:
        raise problem from None
    words = (user, host)
    if not host or any(word.startswith("-") or any(letter.isspace() for letter in word) for word in words):
        raise problem
    # urlsplit makes host names lower case, but a name in a configuration file may not be
    at = text.lower().rfind(host)
    return user, text[at : at + len(host)], port
