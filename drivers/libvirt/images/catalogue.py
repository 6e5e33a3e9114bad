"""Short names of official cloud images: ``catalogue.json`` has, by name and architecture, an image's address and the
list of checksums beside it, which is read over HTTPS at each fetch since publishers renew their images."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from importlib import resources
from urllib.parse import urljoin, urlsplit

from pymachine.machine.errors import DriverError, InvalidOption

LENGTHS = {40: "", 64: "sha256", 128: "sha512"}
"""Hexadecimal digits of a digest and the algorithm; SHA-1 is not taken."""


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


def pick(listing: str, url: str) -> str:
    """``sha512:…`` of an image from a list of checksums, in the style of sha512sum(1) or BSD's.

    Raises `DriverError` when the list does not name the image.
    """
    file = urlsplit(url).path.rpartition("/")[2]
    quoted = re.escape(file)
    for pattern in (rf"^([0-9a-f]+)[ \t]+\*?(?:\./)?{quoted}$", rf"^SHA\d+ \({quoted}\) = ([0-9a-f]+)$"):
        for digest in re.findall(pattern, listing, re.MULTILINE):
            if algorithm := LENGTHS.get(len(digest)):
                return f"{algorithm}:{digest}"
    raise DriverError(f"the publisher's list of checksums does not name {file}")
