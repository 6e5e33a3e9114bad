"""Loading images from an archive (``POST /images/load``): Docker's own format with ``manifest.json``, and OCI
image layouts (``oci-layout``, ``index.json``)."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.engine.images import platforms
from pymachine.engine.images.archive.decompress import decompressed, sniff
from pymachine.engine.images.archive.index import ArchiveIndex
from pymachine.engine.images.base import Image
from pymachine.engine.images.chains import chain_ids, digest_of
from pymachine.engine.images.core import Core
from pymachine.engine.images.errors import BadArchive
from pymachine.engine.images.progress import Message
from pymachine.engine.images.reference import Reference, hex_of, is_digest, parse
from pymachine.engine.images.spool import spooled
from pymachine.engine.images.store import parse_config

_DOCUMENT_LIMIT = 16 << 20
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_NESTED = 4


@dataclass(frozen=True, slots=True)
class _Found:
    """One image in the archive."""

    config: bytes
    layers: tuple[str, ...]
    """Names of members, bottom first."""
    names: tuple[Reference, ...]


async def load(core: Core, body: AsyncIterable[bytes]) -> AsyncIterator[Message]:
    """Load all images of the archive; ``Loaded image: …`` lines. Raises `InvalidArgument`."""
    async with spooled(core, body) as spool, AsyncExitStack() as stack:
        plain = await core.finish(_plain, spool.file, core)
        stack.push_async_callback(core.run, plain.close)
        index = await core.run(ArchiveIndex, plain)
        for found in await core.run(_images, index):
            image = await core.finish(_add, core, plain, index, found)
            names = [str(name) for name in found.names]
            if names:
                await core.run(core.store.name, image.id, names)
            for name in found.names:
                yield {"stream": f"Loaded image: {name.familiar}\n"}
                core.publish("tag", image.id, str(name))
            if not names:
                yield {"stream": f"Loaded image ID: {image.id}\n"}
            core.publish("load", image.id, names[0] if names else image.id)


def _plain(file: BinaryIO, core: Core) -> BinaryIO:
    """The archive itself, or a nameless uncompressed copy of it."""
    file.seek(0)
    head = file.read(6)
    file.seek(0)
    if not sniff(head):
        return file
    copy = tempfile.TemporaryFile(dir=core.tmp)  # noqa: SIM115 - the caller closes it
    for piece in decompressed(file):
        copy.write(piece)
    copy.flush()
    return copy


def _images(index: ArchiveIndex) -> list[_Found]:
    if index.find("manifest.json") is not None:
        return list(_docker(index))
    if index.find("index.json") is not None:
        document = _json(index, "index.json")
        return [_oci(index, entry) for entry in _flat(index, document, 0)]
    raise BadArchive("the archive holds no image: neither manifest.json nor index.json is in it")


def _docker(index: ArchiveIndex) -> Iterable[_Found]:
    document = _json(index, "manifest.json")
    if not isinstance(document, list):
        raise BadArchive("the archive's manifest.json is not a list")
    for entry in document:
        config = entry.get("Config") if isinstance(entry, dict) else None
        layers = _texts(entry.get("Layers")) if isinstance(entry, dict) else None
        tags = _texts(entry.get("RepoTags")) if isinstance(entry, dict) else None
        if not isinstance(config, str) or layers is None or tags is None:
            raise BadArchive("the archive's manifest.json is malformed")
        names = tuple(parse(tag).with_default_tag().tagged() for tag in tags)
        yield _Found(index.read(config, _DOCUMENT_LIMIT), tuple(layers), names)


def _texts(value: Any) -> list[str] | None:
    """A list of texts, which may be missing; ``None`` for anything else."""
    if not isinstance(value or [], list) or not all(isinstance(one, str) for one in value or []):
        return None
    return list(value or [])


def _flat(index: ArchiveIndex, document: Any, depth: int) -> Iterable[dict[str, Any]]:
    """The manifests that an index means: all at the top, the one for this platform below."""
    entries = document.get("manifests") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries) or depth > _NESTED:
        raise BadArchive("the archive's index.json is malformed")
    for entry in entries:
        if entry.get("mediaType") not in _INDEXES:
            yield entry
            continue
        inner = _blob_json(index, entry)
        chosen = platforms.choose(platforms.host(), inner.get("manifests") or [])
        if chosen is not None:
            yield {**chosen, "annotations": entry.get("annotations")}


def _oci(index: ArchiveIndex, entry: dict[str, Any]) -> _Found:
    manifest = _blob_json(index, entry)
    config, layers = manifest.get("config"), manifest.get("layers")
    if not isinstance(config, dict) or not isinstance(layers, list):
        raise BadArchive("a manifest in the archive is malformed")
    data = _blob(index, config)
    return _Found(data, tuple(_blob_name(layer) for layer in layers), _oci_names(entry))


def _oci_names(entry: dict[str, Any]) -> tuple[Reference, ...]:
    """containerd's whole name, or the tag alone, which says too little to name an image."""
    annotations = entry.get("annotations")
    if not isinstance(annotations, dict):
        return ()
    for key in ("io.containerd.image.name", "org.opencontainers.image.ref.name"):
        text = annotations.get(key)
        if isinstance(text, str) and ("/" in text or ":" in text):
            try:
                return (parse(text).with_default_tag().tagged(),)
            except InvalidArgument:
                continue
    return ()


def _blob_name(descriptor: Any) -> str:
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    if not isinstance(digest, str) or not is_digest(digest):
        raise BadArchive("the archive has a malformed descriptor")
    return f"blobs/sha256/{hex_of(digest)}"


def _blob(index: ArchiveIndex, descriptor: dict[str, Any]) -> bytes:
    data = index.read(_blob_name(descriptor), _DOCUMENT_LIMIT)
    if digest_of(data) != descriptor["digest"]:
        raise BadArchive(f"the archive's blob {descriptor['digest']} is damaged")
    return data


def _blob_json(index: ArchiveIndex, descriptor: dict[str, Any]) -> dict[str, Any]:
    document = _parse(_blob(index, descriptor), descriptor["digest"])
    if not isinstance(document, dict):
        raise BadArchive("a manifest in the archive is malformed")
    return document


def _json(index: ArchiveIndex, name: str) -> Any:
    return _parse(index.read(name, _DOCUMENT_LIMIT), name)


def _parse(data: bytes, name: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise BadArchive(f"the archive's {name} is not JSON") from None


def _add(core: Core, file: BinaryIO, index: ArchiveIndex, found: _Found) -> Image:
    _, diff_ids = parse_config(found.config)
    if len(diff_ids) != len(found.layers):
        raise BadArchive(f"the archive has {len(found.layers)} layers where the image has {len(diff_ids)}")
    chains = chain_ids(diff_ids)
    with core.layers.pinned(chains):
        for number, (diff_id, name) in enumerate(zip(diff_ids, found.layers, strict=True)):
            parent = chains[number - 1] if number else None
            if core.layers.get(chains[number]) is None:
                member = index.get(name)
                file.seek(member.offset)
                core.layers.add(file, parent, diff_id, size=member.size)
        return core.store.add(found.config)[0]
