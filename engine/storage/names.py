"""Directory names for layers and containers: only what cannot leave the driver's folder."""

from __future__ import annotations

import re

_CHAIN_ID = re.compile(r"sha256:([0-9a-f]{64})\Z")
_CONTAINER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}\Z")


def layer_name(chain_id: str) -> str:
    """The hexadecimal part of a chain id; `ValueError` for anything else."""
    match = _CHAIN_ID.match(chain_id)
    if match is None:
        raise ValueError(f"not a chain id: {chain_id!r}")
    return match[1]


def container_name(container_id: str) -> str:
    """A container's id, if it may be a file name; `ValueError` otherwise."""
    if not _CONTAINER_ID.match(container_id):
        raise ValueError(f"not a container id: {container_id!r}")
    return container_id
