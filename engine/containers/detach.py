"""The keys that detach a client from a terminal (``ctrl-p,ctrl-q``) and where they occur in its input."""

from __future__ import annotations

from pymachine.dockerapi.errors import InvalidArgument

DEFAULT = b"\x10\x11"
"""ctrl-p, ctrl-q."""
_SYMBOLS = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse(text: str) -> bytes:
    """The bytes for keys such as ``ctrl-p,ctrl-q`` or ``a,b``; empty text is the default."""
    if not text:
        return DEFAULT
    return bytes(_key(part) for part in text.split(","))


def _key(part: str) -> int:
    name = part.lower()
    if len(part) == 1 and part.isascii():
        return ord(part)
    if name == "del":
        return 127
    if name.startswith("ctrl-") and len(name) == 6:
        key = name[5]
        if "a" <= key <= "z":
            return ord(key) - 96
        if key in _SYMBOLS:
            return _SYMBOLS[key]
    raise InvalidArgument(f"Unknown character: '{part}' in detach keys")


class Watch:
    """Finds the keys in input that arrives in pieces; bytes that turn out not to be keys are handed on."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What to hand on of *data* (and of what was held back), and whether the keys were pressed."""
        passed = bytearray()
        for byte in data:
            if byte == self._keys[self._held]:
                self._held += 1
                if self._held == len(self._keys):
                    return bytes(passed), True
                continue
            passed += self._keys[: self._held]
            self._held = 0
            if byte == self._keys[0]:
                self._held = 1
            else:
                passed.append(byte)
        return bytes(passed), False
