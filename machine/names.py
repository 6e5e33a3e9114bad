"""Machine names."""

from __future__ import annotations

import re

from pymachine.machine.errors import InvalidName

DEFAULT = "default"
"""The machine that is meant when no name is given."""
LONGEST = 63
"""A machine's name becomes its host name, whose labels are at most 63 characters (RFC 1035, 2.3.4)."""

_ALLOWED = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]*", re.ASCII)


def check_name(name: str, work: str = "") -> None:
    """Raise `InvalidName` unless *name* can be a machine's name; its message begins with the *work* that failed."""
    if not _ALLOWED.fullmatch(name):
        raise InvalidName(f"{work}Invalid hostname specified. Allowed hostname chars are: 0-9a-zA-Z . -")
    if len(name) > LONGEST:
        raise InvalidName(
            f"{work}Invalid hostname specified. It has {len(name)} characters; "
            f"{LONGEST} are the most a host name may have"
        )


def natural(text: str) -> list[tuple[int, int, str]]:
    """A sort key by which a9 comes before a10, whatever the case."""
    parts = re.split(r"(\d+)", text.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]
