"""Short names of official cloud images: ``catalogue.json`` has, by name and architecture, an image's address and the
list of checksums beside it, which is read over HTTPS at each fetch since publishers renew their images."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from urllib.parse import urljoin, urlsplit

from pymachine.machine.errors import DriverError, InvalidOption

LENGTHS = {64: "sha256", 128: "sha512"}
"""Hexadecimal digits of a digest and the algorithm; shorter ones (MD5, SHA-1) are not taken."""
LINES = (
    re.compile(r"(?P<digest>[0-9A-Fa-f]+)[ \t]+\*?(?:\./)?(?P<file>\S+)"),
    re.compile(r"SHA\d+ \((?P<file>[^)]+)\) ?= ?(?P<digest>[0-9A-Fa-f]+)"),
)
"""A line of sha256sum(1), and one of BSD's, which Fedora, Rocky and CentOS have."""


@dataclass(frozen=True, slots=True)
class Official:
    """An official image."""

    name: str
    architecture: str
    url: str
    checksums: str
    """Address of the list of checksums."""


@functools.cache
def _entries() -> dict[str, dict[str, list[str]]]:
    text = resources.files(__package__).joinpath("catalogue.json").read_text(encoding="utf-8")
    entries: dict[str, dict[str, list[str]]] = json.loads(text)
    return entries


def names() -> list[str]:
    """All short names."""
    return sorted(_entries())


def find(name: str, architecture: str) -> Official | None:
    """The image of that name; ``None`` when it is not in the catalogue. Raises `InvalidOption` when there is none
    for the architecture."""
    entry = _entries().get(name)
    if entry is None:
        return None
    if architecture not in entry:
        raise InvalidOption(f"--libvirt-image: {name} is not published for {architecture}")
    url, checksums = entry[architecture]
    return Official(name, architecture, url, urljoin(url, checksums))


def pick(listing: str, url: str, checksums: str = "") -> str:
    """``sha512:…`` of an image from a list of checksums, in the style of sha512sum(1) or BSD's, signed or not.

    A list of one line that bears the image's name with a suffix (*checksums* is its address) is the image's, whatever
    name it tells: publishers of a ``latest`` link write the name of the build that is behind it.
    Raises `DriverError` when the list does not name the image.
    """
    file = _file_name(url)
    entries = list(_entries_of(listing))
    found = [checksum for checksum, name in entries if name == file]
    if not found and len(entries) == 1 and _file_name(checksums).startswith(f"{file}."):
        found = [entries[0][0]]
    if not found:
        raise DriverError(f"the publisher's list of checksums does not name {file}")
    return max(found, key=len)  # the longer digest, where a list has two kinds


def _entries_of(listing: str) -> Iterator[tuple[str, str]]:
    """Checksum and file of each line that has one of a kind that is taken."""
    for line in listing.splitlines():
        for pattern in LINES:
            entry = pattern.fullmatch(line.rstrip())
            if entry and (algorithm := LENGTHS.get(len(entry["digest"]))):
                yield f"{algorithm}:{entry['digest'].lower()}", entry["file"]


def _file_name(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]
