"""Finding an image by what people type: names, tags, digests, ids and their beginnings."""

from __future__ import annotations

import re
from dataclasses import replace

from pymachine.dockerapi.errors import InvalidArgument, NotFound
from pymachine.engine.images.base import Image
from pymachine.engine.images.reference import Reference, parse
from pymachine.engine.images.store import Snapshot

_ID = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})\Z")


def find(snapshot: Snapshot, text: str) -> Image:
    """The image that *text* means; raises `NotFound` as Docker's clients expect it.

    A whole id wins, then a name, then the beginning of an id if only one has it.
    """
    match = _ID.match(text)
    if match is not None and len(match[1]) == 64 and (image := snapshot.images.get(f"sha256:{match[1]}")):
        return image
    reference = None if text.startswith("sha256:") else _parsed(text)
    if reference is not None and (target := reference_key(snapshot, reference)):
        return snapshot.images[snapshot.references[target]]
    if match is not None:
        found = [image for one, image in snapshot.images.items() if one.startswith(match[1], 7)]
        if len(found) == 1:
            return found[0]
        if len(found) > 1 and reference is None:
            raise InvalidArgument(f"image id {text} is ambiguous: {len(found)} images have it")
    raise NotFound(f"No such image: {reference.with_default_tag().familiar if reference else text}")


def reference_key(snapshot: Snapshot, reference: Reference) -> str:
    """The key in ``snapshot.references`` that *reference* means, or ``""``."""
    key = str(replace(reference, tag="")) if reference.digest else str(reference.with_default_tag())
    return key if key in snapshot.references else ""


def is_id(image: Image, text: str) -> bool:
    """Whether *text*, which found *image*, did so as an id or the beginning of one, not as a name."""
    match = _ID.match(text)
    return match is not None and image.id.startswith(match[1], 7)


def _parsed(text: str) -> Reference | None:
    try:
        return parse(text)
    except InvalidArgument:
        return None
