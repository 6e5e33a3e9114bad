"""A machine's SSH key: made once, ed25519, never readable by anybody else.

Formats: the private half is OpenSSH's own (openssh-portable, PROTOCOL.key), the public half one
``authorized_keys`` line (sshd(8)). `cryptography` is imported only when a key is made or read.
"""

from __future__ import annotations

import base64
import contextlib
import stat
from pathlib import Path

from pymachine.machine.errors import MachineError, SSHError
from pymachine.store.atomic import create_file, make_directory, replace_file
from pymachine.store.portable import MODES

KEY_COMMENT = "pymachine"


def ensure_key(path: Path) -> str:
    """The public line of the private key at *path*, which is made when it is missing.

    An existing key is used as it is, whatever its type. The public line stands beside it in ``PATH.pub``.
    However many processes ask at once, all get the same key. Raises `SSHError` when the file is open to
    others, is no private key, or needs a passphrase and has no ``.pub`` beside it.
    """
    try:
        if not path.exists():
            _make(path)
        check_permissions(path)
        return _public_line(path)
    except MachineError:  # SSHError is an OSError too
        raise
    except OSError as error:
        raise MachineError(f"cannot use the SSH key {path}: {error.strerror or error}") from error


def copy_key(source: Path, target: Path) -> None:
    """Copy a private key (0600) and its public half, if there is one beside it; raises `SSHError`."""
    try:
        replace_file(target, source.read_bytes())
        with contextlib.suppress(FileNotFoundError):
            public = source.with_name(f"{source.name}.pub").read_bytes()
            replace_file(target.with_name(f"{target.name}.pub"), public, mode=0o644)
    except OSError as error:
        raise SSHError(f"cannot copy the SSH key {source}: {error.strerror or error}") from error


def check_permissions(path: Path) -> None:
    """Refuse a private key that others may read, as ssh(1) does; raises `SSHError` with the remedy."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if MODES and mode & 0o077:
        raise SSHError(f"permissions {mode:04o} for '{path}' are too open", hint=f"chmod 600 '{path}'")


def is_locked(content: bytes) -> bool:
    """Whether a private key has a passphrase: PEM says so, OpenSSH's format names a cipher (PROTOCOL.key)."""
    _, _, rest = content.partition(b"-----BEGIN OPENSSH PRIVATE KEY-----")
    if not rest:
        return b"ENCRYPTED" in content
    try:
        # "openssh-key-v1\0", then the cipher's name after its length
        head = base64.b64decode(b"".join(rest.split(b"-----")[0].split()))
    except ValueError:
        return False
    return head.startswith(b"openssh-key-v1\0") and not head[15:].startswith(b"\0\0\0\4none")


def _make(path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    make_directory(path.parent)
    with contextlib.suppress(FileExistsError):  # another process was quicker: its key stands
        create_file(path, private)


def _public_line(path: Path) -> str:
    """The line in ``PATH.pub``; written from the private key when missing or of another key."""
    beside = path.with_name(path.name + ".pub")
    known = beside.read_text(encoding="utf-8", errors="replace").strip() if beside.exists() else ""
    derived = _derive(path)
    if not derived:
        if known:
            return known
        raise SSHError(
            f"the SSH key {path} has a passphrase and no .pub file beside it",
            hint=f"ssh-keygen -y -f '{path}' > '{beside}'",
        )
    if known.split()[:2] == derived.split()[:2]:
        return known
    line = f"{derived} {KEY_COMMENT}"
    replace_file(beside, f"{line}\n".encode(), mode=0o644)
    return line


def _derive(path: Path) -> str:
    """The public half without a comment; empty when the key has a passphrase."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_private_key,
        load_ssh_private_key,
    )

    content = path.read_bytes()
    if is_locked(content):
        return ""
    load = load_ssh_private_key if b"BEGIN OPENSSH PRIVATE KEY" in content else load_pem_private_key
    try:
        key = load(content, password=None)
        return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SSHError(f"{path} is not a usable SSH private key: {error}") from error
