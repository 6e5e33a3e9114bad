"""The machine's SSH key, and its public half as an EC2 key pair."""

from __future__ import annotations

from pathlib import Path

from pymachine.drivers.amazonec2 import tags
from pymachine.drivers.amazonec2.cloud import Cloud
from pymachine.drivers.amazonec2.faults import Refused
from pymachine.machine.ssh.keys import copy_key, ensure_key

KEY_FILE = "id_ed25519"
"""Also for a key of the user's, whatever its type."""


def pair_name(machine_id: str) -> str:
    """By the machine's id, for a machine may be renamed."""
    return f"pymachine-{machine_id}"


def own_key(directory: Path, given: str) -> str:
    """The public line of the machine's private key: a copy of the one at *given*, else made."""
    path = directory / KEY_FILE
    if given and not path.exists():
        copy_key(Path(given).expanduser(), path)
    return ensure_key(path)


def import_pair(cloud: Cloud, name: str, public: str, tagged: list[dict[str, str]]) -> None:
    """Make the key pair; fine when it is there, for its name is the machine's own."""
    try:
        cloud.call(
            "ImportKeyPair",
            KeyName=name,
            PublicKeyMaterial=public.encode(),
            TagSpecifications=[tags.specification("key-pair", tagged)],
        )
    except Refused as error:
        if error.code != "InvalidKeyPair.Duplicate":
            raise


def exists(cloud: Cloud, name: str) -> bool:
    """Whether there is a key pair of that name."""
    try:
        return bool(cloud.call("DescribeKeyPairs", KeyNames=[name]).get("KeyPairs"))
    except Refused as error:
        if error.absent:
            return False
        raise
