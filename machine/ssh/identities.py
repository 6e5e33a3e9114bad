"""Which private keys are offered to a host, and what its answers mean."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import paramiko
from paramiko.pkey import UnknownKeyType

from pymachine.machine.errors import SSHError
from pymachine.machine.ssh.base import SSHEndpoint
from pymachine.machine.ssh.connect import Refused
from pymachine.machine.ssh.keys import check_permissions, is_locked

DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
"""In ``~/.ssh``, in ssh(1)'s order of today."""
MOST_OFFERS = 5
"""One less than sshd takes before it ends the connection (``MaxAuthTries`` of sshd_config(5))."""


def log_in(transport: paramiko.Transport, endpoint: SSHEndpoint) -> None:
    """Authenticate by public key. Raises `Refused` when the host takes none or hangs up, `SSHError` when there is no
    usable key or keys are not what the host wants."""
    offered = 0
    for key in _candidates(endpoint):
        if offered == MOST_OFFERS:
            break
        offered += 1
        if _offer(transport, endpoint.user, key):
            return
    if not offered:
        raise SSHError(
            f"no SSH key to log in to {endpoint.host} with: the agent has none, and none is in ~/.ssh",
            hint="ssh-add, or name a private key",
        )
    what = f"the private key {endpoint.key_path}" if endpoint.key_path else f"any of {offered} keys"
    raise Refused(f"the host does not accept {what} for user {endpoint.user}")


def default_keys() -> dict[Path, SSHError | None]:
    """The private keys that are offered without being named, and why one cannot be used."""
    paths = [Path.home() / ".ssh" / name for name in DEFAULT_KEYS]
    return {path: problem_of(path) for path in paths if path.exists()}


def problem_of(path: Path) -> SSHError | None:
    """Why the private key *path* cannot be used."""
    try:
        _load(path)
    except SSHError as error:
        return error
    return None


def agent_size() -> int:
    """How many keys the SSH agent has."""
    return len(_agent_keys())


def _offer(transport: paramiko.Transport, user: str, key: paramiko.PKey) -> bool:
    """Whether the host takes *key* and asks for nothing more."""
    try:
        further = transport.auth_publickey(user, key)
    except paramiko.BadAuthenticationType as error:
        raise SSHError(f"the host accepts no public keys, only: {', '.join(error.allowed_types)}") from error
    except paramiko.AuthenticationException:
        if not transport.is_active():
            raise Refused("the host closed the connection during authentication") from None
        return False
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise Refused(str(error) or "the host closed the connection during authentication") from None
    if further:
        raise SSHError(f"the host asks for more than a key: {', '.join(further)}")
    return True


def _candidates(endpoint: SSHEndpoint) -> Iterator[paramiko.PKey]:
    if endpoint.key_path:
        yield _load(endpoint.key_path)
        return
    yield from _agent_keys()
    for name in DEFAULT_KEYS:
        path = Path.home() / ".ssh" / name
        try:
            if path.exists():
                yield _load(path)
        except SSHError:
            continue  # one with a passphrase is the agent's business


def _load(path: Path) -> paramiko.PKey:
    """The private key; one with a passphrase is looked for in the agent."""
    try:
        check_permissions(path)
        if is_locked(path.read_bytes()):
            return _from_agent(path)
        return paramiko.PKey.from_path(path)
    except SSHError:
        raise
    except FileNotFoundError:
        raise SSHError(f"there is no private key {path}") from None
    except OSError as error:
        raise SSHError(f"cannot read the private key {path}: {error.strerror or error}") from error
    except (paramiko.SSHException, UnknownKeyType, ValueError, TypeError) as error:
        raise SSHError(f"{path} is not a usable SSH private key: {error}") from error


def _from_agent(path: Path) -> paramiko.PKey:
    try:
        public = path.with_name(path.name + ".pub").read_text(encoding="utf-8", errors="replace").split()[1]
    except (OSError, IndexError):
        public = ""
    for key in _agent_keys():
        if key.get_base64() == public:
            return key
    raise SSHError(f"the private key {path} has a passphrase and is not in the SSH agent", hint=f"ssh-add '{path}'")


def _agent_keys() -> tuple[paramiko.PKey, ...]:
    try:
        return tuple(paramiko.Agent().get_keys())
    except (paramiko.SSHException, OSError):
        return ()
