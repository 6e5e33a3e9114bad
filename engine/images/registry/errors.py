"""What a registry says when it refuses, and what our clients are told."""

from __future__ import annotations

import json

from pymachine.dockerapi.errors import EngineError, Forbidden, NotFound, Unauthorized
from pymachine.engine.images.reference import Reference


class RegistryRefused(EngineError):
    """An error answer (OCI distribution specification, "Error codes"). *code* is upper case, or empty."""

    def __init__(self, http_status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.code = code

    @property
    def lasting(self) -> bool:
        """Whether asking again cannot help."""
        return 400 <= self.http_status < 500 and self.http_status not in (408, 429)


def refusal(status: int, body: bytes) -> RegistryRefused:
    """The error in an answer with a status of 400 or more."""
    code, message = "", ""
    try:
        first = json.loads(body)["errors"][0]
        code, message = str(first.get("code", ""))[:100].upper(), str(first.get("message", ""))[:500]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass
    message = " ".join(message.split()) or f"the registry answered with status {status}"
    spoken = f"{code.lower().replace('_', ' ')}: {message}" if code else message
    return RegistryRefused(status, code, spoken)


def translate(error: RegistryRefused, reference: Reference) -> EngineError:
    """The refusal as Docker words it: its clients, and scripts around them, look for these texts."""
    if error.http_status in (401, 403) or error.code in ("DENIED", "UNAUTHORIZED"):
        if error.http_status == 401 or error.code == "UNAUTHORIZED":
            return Unauthorized(f"pull access denied for {reference.familiar_name}: {error}")
        return Forbidden(f"pull access denied for {reference.familiar_name}: {error}")
    if error.code == "NAME_UNKNOWN":
        return NotFound(
            f"pull access denied for {reference.familiar_name}, repository does not exist or may require "
            f"'docker login': {error}"
        )
    if error.http_status == 404:
        return NotFound(f"manifest for {reference.familiar} not found: {error}")
    return EngineError(f"cannot pull {reference.familiar}: {error}")
