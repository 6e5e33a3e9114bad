"""What a server allows its clients."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one server; times in seconds."""

    header_bytes: int = 256 * 1024
    """Request line and headers together. Builds put their arguments into the request line, and registry
    credentials into a header, so this is wide."""
    header_timeout: float = 30.0
    """From the first byte of a request to the end of its headers, and for a TLS handshake."""
    idle_timeout: float = 600.0
    """Between requests. Long, because a client may just be sending its next one when we close."""
    connections: int = 4096
    """At once; a further one takes the place of the one idle longest, or is turned away."""
    drain_bytes: int = 1024 * 1024
    """Of an unread request body, read and dropped to keep the connection."""
    linger: float = 2.0
    """How long a closing connection waits for the client to see the end, so that no reset destroys it."""
