"""What a client sends as ``X-Registry-Auth`` (Engine API 1.47, section "Authentication")."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field

from pymachine.dockerapi.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Credentials:
    """Empty fields are not known. Never shown in messages or logs."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of a basic Authorization header, ``""`` without a user name."""
        if not self.username:
            return ""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


NOBODY = Credentials()


def from_header(text: str) -> Credentials:
    """Decode the header (base64url of a JSON object); raises `InvalidArgument`, which doesn't repeat it."""
    if not text:
        return NOBODY
    try:
        padded = text.strip().replace("+", "-").replace("/", "_") + "=" * (-len(text.strip()) % 4)
        document = json.loads(base64.urlsafe_b64decode(padded))
    except (ValueError, binascii.Error, RecursionError):
        raise InvalidArgument("the X-Registry-Auth header is not base64url-encoded JSON") from None
    return from_document(document)


def from_document(document: object) -> Credentials:
    """The same from the JSON object (the body of ``POST /auth``)."""
    if not isinstance(document, dict):
        return NOBODY

    def text(name: str) -> str:
        value = document.get(name)
        return value if isinstance(value, str) else ""

    return Credentials(text("username"), text("password"), text("identitytoken"), text("registrytoken"))
