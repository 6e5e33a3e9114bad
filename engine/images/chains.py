"""Digests, diff ids and chain ids (OCI image specification 1.1, config.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def digest_of(data: bytes) -> str:
    """``sha256:…`` of *data*."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def chain_id(parent: str | None, diff_id: str) -> str:
    """The id of the stack that ends with a layer: of the lowest layer it is the diff id itself."""
    return diff_id if parent is None else digest_of(f"{parent} {diff_id}".encode())


def chain_ids(diff_ids: Sequence[str]) -> tuple[str, ...]:
    """The chain id of each layer, bottom first."""
    found: list[str] = []
    for diff_id in diff_ids:
        found.append(chain_id(found[-1] if found else None, diff_id))
    return tuple(found)
