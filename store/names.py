"""Which machine names are allowed: docker-machine's rule, which also keeps every name inside its directory."""

from __future__ import annotations

import re

from pymachine.machine.errors import InvalidName

MAX_LENGTH = 200
"""Characters; leaves room for suffixes below the 255 bytes a file name may have."""

_ALLOWED = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.-]*")


def is_valid(name: str) -> bool:
    """First a letter or digit, then letters, digits, dots and dashes."""
    return len(name) <= MAX_LENGTH and _ALLOWED.fullmatch(name) is not None


def valid_name(name: str) -> str:
    """*name* itself; raises `InvalidName` when it is not allowed."""
    if is_valid(name):
        return name
    if len(name) > MAX_LENGTH:
        raise InvalidName(f"Invalid hostname specified. It is longer than {MAX_LENGTH} characters")
    raise InvalidName("Invalid hostname specified. Allowed hostname chars are: 0-9a-zA-Z . -")
