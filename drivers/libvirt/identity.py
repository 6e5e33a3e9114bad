"""A machine's SSH host key: made here and given to the guest by its seed, so it is known before the first contact."""

from __future__ import annotations

import os
from pathlib import Path

PUBLIC = "ssh_host_ed25519_key.pub"


def new_host_key(name: str) -> tuple[str, str]:
    """A new ed25519 key: private file, public line."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return private, f"{public} root@{name}"


def keep_host_key(directory: Path, public: str) -> None:
    """Note the public half until there is an address to pin it to."""
    _write(directory / PUBLIC, f"{public}\n")


def pin_host_key(directory: Path, address: str, port: int) -> None:
    """Write known_hosts (sshd(8)) for the address that the machine has now; one that says so already stays."""
    kept, pinned = directory / PUBLIC, directory / "known_hosts"
    if not kept.exists():
        return
    kind, value = kept.read_text(encoding="utf-8").split()[:2]
    line = f"{address if port == 22 else f'[{address}]:{port}'} {kind} {value}\n"
    if not pinned.exists() or line not in pinned.read_text(encoding="utf-8", errors="replace"):
        _write(pinned, line)


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)
