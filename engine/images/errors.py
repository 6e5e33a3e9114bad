"""What can be wrong with an archive: client mistakes (400), never the engine's."""

from __future__ import annotations

from pymachine.dockerapi.errors import EngineError, InvalidArgument


class BadArchive(InvalidArgument):
    """A tar or compressed stream that is damaged, unsupported, or out of all proportion."""


class UnsafeArchive(BadArchive):
    """An archive with an entry that would reach outside its root."""


class DigestMismatch(EngineError):
    """Content that is not what its digest says; never kept."""
