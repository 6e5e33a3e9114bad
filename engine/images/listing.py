"""``GET /images/json``: which images, in which order."""

from __future__ import annotations

import fnmatch
from collections import Counter
from typing import Any

from pymachine.dockerapi.filters import Filters
from pymachine.engine.images.base import Image
from pymachine.engine.images.layers import LayerStore
from pymachine.engine.images.lookup import find
from pymachine.engine.images.reference import parse
from pymachine.engine.images.store import Snapshot
from pymachine.engine.images.times import seconds_of
from pymachine.engine.images.views import labels_of, names_of, summary

FILTERS = ("before", "dangling", "label", "label!", "reference", "since", "until")
PRUNE_FILTERS = ("dangling", "label", "label!", "until")


def listing(
    snapshot: Snapshot, layers: LayerStore, filters: Filters, *, everything: bool = False, shared_size: bool = False
) -> list[dict[str, Any]]:
    """Summaries, newest first. Without *everything*, no nameless image that another was built from.

    Raises `NotFound` or `InvalidArgument` for a filter that names no image or is malformed.
    """
    chosen = matching(snapshot, filters)
    if not everything:
        chosen = [image for image in chosen if not _is_intermediate(snapshot, image)]
    answer = []
    for image in chosen:
        entry = summary(snapshot, image, layers)
        if "reference" in filters:
            entry["RepoTags"] = [name for name in entry["RepoTags"] if _matches(name, filters)]
            entry["RepoDigests"] = [name for name in entry["RepoDigests"] if _matches(name, filters)]
        answer.append(entry)
    if shared_size:
        _fill_shared(answer, chosen, snapshot, layers)
    return answer


def matching(snapshot: Snapshot, filters: Filters) -> list[Image]:
    """The images that *filters* let through, newest first."""
    latest = min((_created(find(snapshot, text)) for text in filters.values("before")), default=None)
    earliest = max((_created(find(snapshot, text)) for text in filters.values("since")), default=None)
    until = filters.until()
    dangling = filters.flag("dangling") if "dangling" in filters else None

    def passes(image: Image) -> bool:
        created = _created(image)
        if latest is not None and created >= latest or earliest is not None and created <= earliest:
            return False
        if until is not None and created > until:
            return False
        if not filters.labels(labels_of(image)) or not filters.without_labels(labels_of(image)):
            return False
        if dangling is not None and dangling != is_dangling(snapshot, image):
            return False
        names = [*names_of(snapshot, image.id)[0], *names_of(snapshot, image.id)[1]]
        return "reference" not in filters or any(_matches(name, filters) for name in names)

    return sorted(filter(passes, snapshot.images.values()), key=_created, reverse=True)


def is_dangling(snapshot: Snapshot, image: Image) -> bool:
    """No tag, and nothing built from it here."""
    return not names_of(snapshot, image.id)[0] and not snapshot.children(image.id)


def _is_intermediate(snapshot: Snapshot, image: Image) -> bool:
    return not snapshot.references_of(image.id) and bool(snapshot.children(image.id))


def _matches(name: str, filters: Filters) -> bool:
    return any(_matches_one(name, pattern) for pattern in filters.values("reference"))


def _matches_one(name: str, pattern: str) -> bool:
    """Shell patterns, over the whole name or the name without its tag, where ``*`` stops at a slash."""
    reference = parse(name)
    candidates = (name, reference.familiar_name, str(reference), reference.name)
    return any(
        candidate.count("/") == pattern.count("/") and fnmatch.fnmatchcase(candidate, pattern)
        for candidate in candidates
    )


def _created(image: Image) -> float:
    return seconds_of(image.config.get("created"))


def _fill_shared(answer: list[dict[str, Any]], chosen: list[Image], snapshot: Snapshot, layers: LayerStore) -> None:
    users = Counter(chain for image in snapshot.images.values() for chain in image.chain_ids)
    for entry, image in zip(answer, chosen, strict=True):
        shared = [layers.get(chain) for chain in image.chain_ids if users[chain] > 1]
        entry["SharedSize"] = sum(layer.size for layer in shared if layer is not None)
