"""The kinds of keys that certificates may have."""

from __future__ import annotations

from typing import Literal, get_args

from pymachine.machine.errors import InvalidOption

KeyType = Literal["ecdsa", "rsa", "ed25519"]
DEFAULT: KeyType = "ecdsa"
KEY_TYPES: tuple[KeyType, ...] = get_args(KeyType)


def key_type(text: str) -> KeyType:
    """*text* as a kind of key, the default when it is empty; raises `InvalidOption` for any other."""
    for kind in KEY_TYPES:
        if kind == (text.lower() or DEFAULT):
            return kind
    raise InvalidOption(f"--tls-key-type: {text!r} is none of {', '.join(KEY_TYPES)}")
