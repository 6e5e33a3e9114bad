"""Image references: parsing, normal form, and the familiar form that people see.

The grammar is the distribution project's (its docs, "reference"): ``[domain/]path[:tag][@digest]``. A first part
is a domain when it holds a dot or a colon, or is ``localhost``; otherwise the domain is docker.io, and a path of
one part lies in ``library/``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pymachine.dockerapi.errors import InvalidArgument

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?\Z")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PART}(?:/{_PART})*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_ANY_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}\Z")
_HEX_ID = re.compile(r"[0-9a-f]{64}\Z")
_NAME_LIMIT = 255


@dataclass(frozen=True, slots=True)
class Reference:
    """A name in normal form, with a tag, a digest, both or neither."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """``docker.io/library/busybox``."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """``busybox``: without the parts that are understood."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        short = self.path.removeprefix(_OFFICIAL)
        return self.path if "/" in short else short

    @property
    def familiar(self) -> str:
        """``busybox:latest``, ``busybox@sha256:…``."""
        return self.familiar_name + self._suffix()

    def __str__(self) -> str:
        return self.name + self._suffix()

    def with_default_tag(self) -> Reference:
        """With ``latest``, unless it has a tag or a digest."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)

    def tagged(self) -> Reference:
        """Its tag only; the key under which an image's name is kept."""
        return Reference(self.domain, self.path, self.tag or DEFAULT_TAG)

    def at(self, digest: str) -> Reference:
        """The name at *digest*, without a tag."""
        return Reference(self.domain, self.path, "", digest)

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def parse(text: str) -> Reference:
    """*text* in normal form, without a default tag; raises `InvalidArgument`."""
    if _HEX_ID.match(text):
        raise InvalidArgument(f"invalid reference format: {text!r} is an id, not a name")
    rest, digest = _split_digest(text)
    name, tag = _split_tag(rest)
    domain, path = _split_domain(name)
    if not path or len(name) > _NAME_LIMIT or not _DOMAIN.match(domain):
        raise InvalidArgument("invalid reference format")
    if not _PATH.match(path):
        if _PATH.match(path.lower()):
            raise InvalidArgument("invalid reference format: repository name must be lowercase")
        raise InvalidArgument("invalid reference format")
    if tag and not _TAG.match(tag):
        raise InvalidArgument("invalid reference format")
    return Reference(domain, path, tag, digest)


def parse_pull(name: str, tag: str) -> Reference:
    """What ``fromImage`` and ``tag`` of a pull mean together: *tag* may be a tag or a digest."""
    reference = parse(name)
    if not tag:
        return reference
    if ":" in tag:
        if not _DIGEST.match(tag):
            raise InvalidArgument("invalid reference format")
        return replace(reference, tag="", digest=tag)
    if not _TAG.match(tag):
        raise InvalidArgument("invalid tag format")
    return replace(reference, tag=tag)


def is_digest(text: str) -> bool:
    """Whether *text* is ``sha256:`` and 64 hexadecimal digits."""
    return _DIGEST.match(text) is not None


def hex_of(digest: str) -> str:
    """The hexadecimal part of a digest that this engine can verify; raises `InvalidArgument`."""
    if not _DIGEST.match(digest):
        raise InvalidArgument(f"unsupported digest {digest[:100]!r}: only sha256 is supported")
    return digest[7:]


def _split_digest(text: str) -> tuple[str, str]:
    rest, at, digest = text.partition("@")
    if not at:
        return text, ""
    if not _ANY_DIGEST.match(digest):
        raise InvalidArgument("invalid reference format")
    hex_of(digest)
    return rest, digest


def _split_tag(text: str) -> tuple[str, str]:
    head, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        return text, ""
    if not tag:
        raise InvalidArgument("invalid reference format")
    return head, tag


def _split_domain(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    is_domain = slash and (any(mark in first for mark in ".:[") or first == "localhost" or first != first.lower())
    domain, path = (first, rest) if is_domain else (DEFAULT_DOMAIN, name)
    if domain == _LEGACY_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = _OFFICIAL + path
    return domain, path
