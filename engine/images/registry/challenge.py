"""``WWW-Authenticate`` challenges (RFC 9110, section 11.6.1): the scheme and its parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_PARAMETER = re.compile(r'\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|\Z)')
_SCHEME = re.compile(r"\s*(Bearer|Basic)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Challenge:
    """``scheme`` in lower case."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)


def parse(header: str) -> Challenge | None:
    """The first challenge that this engine can answer; ``None`` if there is none."""
    match = _SCHEME.match(header) or re.search(r"(?:^|,)\s*(Bearer|Basic)\b", header, re.IGNORECASE)
    if match is None:
        return None
    parameters: dict[str, str] = {}
    position = match.end()
    while found := _PARAMETER.match(header, position):
        quoted = re.sub(r"\\(.)", r"\1", found[2]) if found[2] is not None else found[3]
        parameters.setdefault(found[1].lower(), quoted)
        position = found.end()
    return Challenge(match[1].lower(), parameters)
