"""Manifests and indexes: Docker's schema 2 and the OCI image specification 1.1."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pymachine.dockerapi.errors import EngineError, InvalidArgument, NotFound
from pymachine.engine.images.chains import digest_of
from pymachine.engine.images.errors import DigestMismatch
from pymachine.engine.images.platforms import Platform, choose
from pymachine.engine.images.reference import Reference, is_digest
from pymachine.engine.images.registry.session import Session
from pymachine.engine.images.store import MAX_LAYERS

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIGS = ("application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json")
_ACCEPT = ", ".join((DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX))
_LIMIT = 4 << 20
_NESTED = 4


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Content by digest."""

    digest: str
    size: int
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest or index as it came, verified."""

    digest: str
    media_type: str
    size: int
    content: dict[str, Any]

    @property
    def is_index(self) -> bool:
        return self.media_type in (DOCKER_LIST, OCI_INDEX)


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image: its configuration and layers, bottom first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


async def fetch(session: Session, reference: str) -> Document:
    """The document that a tag or digest names. Raises `RegistryRefused`, `HTTPError`, `DigestMismatch`."""
    async with await session.get(f"manifests/{reference}", {"Accept": _ACCEPT}) as response:
        data = await response.read(_LIMIT)
        media_type = response.headers.get("content-type", "").partition(";")[0].strip()
    digest = digest_of(data)
    if is_digest(reference) and digest != reference:
        raise DigestMismatch(f"the registry sent a manifest with digest {digest} for {reference}")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise EngineError("the registry sent a manifest that is not JSON") from None
    if not isinstance(content, dict):
        raise EngineError("the registry sent a manifest that is not a JSON object")
    # The document's own word counts, where it has one: it is covered by the digest.
    kind = content.get("mediaType") or media_type
    if kind not in (DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX):
        if content.get("schemaVersion") == 1:
            raise InvalidArgument("the image has a manifest of schema version 1, which is no longer supported")
        kind = OCI_INDEX if "manifests" in content else OCI_MANIFEST if "layers" in content else kind
    return Document(digest, str(kind), len(data), content)


async def resolve(session: Session, document: Document, platform: Platform, reference: Reference) -> Manifest:
    """The manifest for *platform*, through indexes. Raises `NotFound` when there is none."""
    for _ in range(_NESTED):
        if not document.is_index:
            return parse(document)
        entries = [entry for entry in _list(document.content, "manifests") if isinstance(entry, dict)]
        entry = choose(platform, entries)
        if entry is None:
            raise NotFound(f"no matching manifest for {platform} in the manifest list entries of {reference.familiar}")
        document = await fetch(session, _descriptor(entry).digest)
    raise InvalidArgument("the image's indexes are nested too deeply")


def parse(document: Document) -> Manifest:
    """A manifest's descriptors; raises `InvalidArgument` for what is not an image."""
    content = document.content
    config = content.get("config")
    if document.is_index or not isinstance(config, dict) or content.get("schemaVersion") != 2:
        raise InvalidArgument(f"{document.media_type[:100] or 'this'} is not an image manifest")
    described = _descriptor(config)
    if described.media_type not in _CONFIGS:
        raise InvalidArgument(f"{described.media_type[:100]!r} is not the configuration of an image: an artifact?")
    layers = tuple(_descriptor(layer) for layer in _list(content, "layers"))
    if len(layers) > MAX_LAYERS:
        raise InvalidArgument(f"the image has {len(layers)} layers; {MAX_LAYERS} is the limit")
    return Manifest(described, layers)


def platforms(document: Document) -> list[dict[str, str]]:
    """The platforms that an index offers (``GET /distribution/{name}/json``)."""
    found = []
    for entry in _list(document.content, "manifests"):
        platform = entry.get("platform") if isinstance(entry, dict) else None
        if isinstance(platform, dict):
            found.append({name: str(value) for name, value in platform.items() if isinstance(value, str)})
    return found


def _list(content: dict[str, Any], name: str) -> list[Any]:
    value = content.get(name)
    if not isinstance(value, list):
        raise InvalidArgument(f"the manifest has no list of {name}")
    return value


def _descriptor(value: Any) -> Descriptor:
    digest = value.get("digest") if isinstance(value, dict) else None
    size = value.get("size") if isinstance(value, dict) else None
    if not isinstance(digest, str) or not is_digest(digest) or not isinstance(size, int) or size < 0:
        raise InvalidArgument("the manifest has a malformed descriptor")
    return Descriptor(digest, size, str(value.get("mediaType") or ""))
