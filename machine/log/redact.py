"""Take secrets out of text that is kept: private keys, passwords in URLs, values of what is named like a secret."""

from __future__ import annotations

import re

LONGEST = 500
"""Characters of a line that are kept."""

_KEY = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s/:@]*):[^\s/@]+@")
_NAMED = re.compile(
    r"""((?:[A-Za-z0-9]+[_-])*(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|credentials?)
    (?:[_-][A-Za-z0-9]+)*["']?\s*[=:]\s*["']?)[^\s"',;]+""",
    re.IGNORECASE | re.VERBOSE,
)


def redact(text: str) -> str:
    """*text* with ``***`` for each secret."""
    text = _KEY.sub("*** private key ***", text)
    text = _URL.sub(r"\1:***@", text)
    return _NAMED.sub(r"\1***", text)


def one_line(text: str) -> str:
    """*text* redacted, on one line that terminals show as it is, cut at `LONGEST`."""
    flat = " ".join(redact(text).split())
    shown = "".join(letter if letter.isprintable() else "?" for letter in flat)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"
