"""Saving images to an archive (``GET /images/get``): an OCI image layout that also has Docker's ``manifest.json``,
so that every Docker since 1.10, and other tools, can load it."""

from __future__ import annotations

import json
import tarfile
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pymachine.engine.images.base import Image
from pymachine.engine.images.chains import digest_of
from pymachine.engine.images.core import Core
from pymachine.engine.images.layers import Layer
from pymachine.engine.images.lookup import find, reference_key
from pymachine.engine.images.reference import hex_of, parse
from pymachine.engine.images.store import Snapshot

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(slots=True)
class _Chosen:
    """An image to save, with the names it is saved under."""

    image: Image
    names: list[str] = field(default_factory=list)
    """In normal form, with tags."""


def save(core: Core, wanted: Sequence[str]) -> AsyncIterator[bytes]:
    """The archive's bytes. Raises `NotFound` at once, `EngineError` in the middle when a layer is damaged."""
    chosen = _choose(core.store.snapshot, wanted)
    chains = [chain for one in chosen for chain in one.image.chain_ids]

    async def pieces() -> AsyncIterator[bytes]:
        with core.layers.pinned(chains):
            async for piece in core.iterate(_write(core, chosen)):
                yield piece

    return pieces()


def _choose(snapshot: Snapshot, wanted: Iterable[str]) -> list[_Chosen]:
    """By a name: that name only. By a repository without a tag: all its tags. By an id: no names."""
    chosen: dict[str, _Chosen] = {}
    for text in wanted:
        for image, names in _meant(snapshot, text):
            entry = chosen.setdefault(image.id, _Chosen(image))
            entry.names += [name for name in names if name not in entry.names]
    return list(chosen.values())


def _meant(snapshot: Snapshot, text: str) -> list[tuple[Image, list[str]]]:
    try:
        reference = parse(text)
    except ValueError:
        return [(find(snapshot, text), [])]
    if not reference.tag and not reference.digest:
        tags = [key for key in snapshot.references if parse(key).name == reference.name and not parse(key).digest]
        if tags:
            return [(snapshot.images[snapshot.references[key]], [key]) for key in sorted(tags)]
    image = find(snapshot, text)
    key = reference_key(snapshot, reference)
    return [(image, [key] if key and not reference.digest else [])]


def _write(core: Core, chosen: list[_Chosen]) -> Iterator[bytes]:
    written: set[str] = set()
    documents: list[dict[str, Any]] = []
    descriptors: list[dict[str, Any]] = []
    for folder in ("blobs/", "blobs/sha256/"):
        yield _header(folder, kind=tarfile.DIRTYPE)
    for one in chosen:
        layers = [layer for chain in one.image.chain_ids if (layer := core.layers.get(chain)) is not None]
        for layer in layers:
            if layer.diff_id not in written:
                written.add(layer.diff_id)
                yield from _layer(core, layer)
        config = core.store.raw_config(one.image.id)
        manifest = _manifest(one.image.id, len(config), layers)
        for data in (config, manifest):
            if (digest := digest_of(data)) not in written:
                written.add(digest)
                yield from _file(_blob(digest), data)
        descriptors += _descriptors(manifest, one.names)
        documents.append(
            {
                "Config": _blob(one.image.id),
                "RepoTags": [parse(name).familiar for name in one.names] or None,
                "Layers": [_blob(layer.diff_id) for layer in layers],
            }
        )
    yield from _json("index.json", {"schemaVersion": 2, "mediaType": _INDEX, "manifests": descriptors})
    yield from _json("manifest.json", documents)
    yield from _json("oci-layout", {"imageLayoutVersion": "1.0.0"})
    if repositories := _repositories(chosen):
        yield from _json("repositories", repositories)
    yield b"\0" * 1024


def _layer(core: Core, layer: Layer) -> Iterator[bytes]:
    yield _header(_blob(layer.diff_id), layer.tar_size)
    yield from core.layers.tar(layer.chain_id)
    yield _padding(layer.tar_size)


def _manifest(image_id: str, config_size: int, layers: list[Layer]) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, "digest": image_id, "size": config_size},
        "layers": [{"mediaType": _LAYER, "digest": layer.diff_id, "size": layer.tar_size} for layer in layers],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _descriptors(manifest: bytes, names: list[str]) -> list[dict[str, Any]]:
    plain = {"mediaType": _MANIFEST, "digest": digest_of(manifest), "size": len(manifest)}
    if not names:
        return [plain]
    return [
        {
            **plain,
            "annotations": {
                "io.containerd.image.name": name,
                "org.opencontainers.image.ref.name": parse(name).tag,
            },
        }
        for name in names
    ]


def _repositories(chosen: list[_Chosen]) -> dict[str, dict[str, str]]:
    """Docker's oldest index: repository, tag, top layer."""
    found: dict[str, dict[str, str]] = {}
    for one in chosen:
        for name in one.names:
            reference = parse(name)
            if one.image.top_layer is not None:
                found.setdefault(reference.familiar_name, {})[reference.tag] = hex_of(one.image.top_layer)
    return found


def _blob(digest: str) -> str:
    return f"blobs/sha256/{hex_of(digest)}"


def _json(name: str, value: Any) -> Iterator[bytes]:
    yield from _file(name, json.dumps(value, separators=(",", ":")).encode())


def _file(name: str, data: bytes) -> Iterator[bytes]:
    yield _header(name, len(data)) + data + _padding(len(data))


def _header(name: str, size: int = 0, *, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name.rstrip("/"))
    info.type, info.size, info.mode = kind, size, 0o755 if kind == tarfile.DIRTYPE else 0o644
    return info.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return b"\0" * (-size % tarfile.BLOCKSIZE)
