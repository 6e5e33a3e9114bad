"""Images and their names on disk, and in memory as one immutable snapshot.

Below the root: ``configs/HEX`` holds each image's configuration byte for byte (its digest is the image's id),
``about/HEX.json`` what this engine knows of it besides, ``references.json`` all names at once. Each is written
atomically, the configuration last of an image's two and first to go, so that an image is there or is not.
Readers use the newest snapshot and never wait.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pymachine.dockerapi.errors import EngineError, InvalidArgument
from pymachine.engine.images.base import Image
from pymachine.engine.images.chains import chain_ids, digest_of
from pymachine.engine.images.reference import hex_of, is_digest
from pymachine.engine.storage.disk import read_document, sync_folder, write_bytes, write_document

_log = logging.getLogger(__name__)

MAX_LAYERS = 500
"""Lower directories that one overlay mount takes (the kernel's OVL_MAX_STACK)."""


@dataclass(frozen=True, slots=True)
class About:
    """What an image's configuration does not say."""

    parent: str = ""
    """The id of the image it was built from here; ``""`` for one that came whole."""
    last_tagged: float = 0.0
    """Seconds since the epoch; 0 for never."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All images, and all references (in normal form, ``name:tag`` and ``name@digest``) with the ids they mean."""

    images: MappingProxyType[str, Image] = field(default_factory=lambda: MappingProxyType({}))
    about: MappingProxyType[str, About] = field(default_factory=lambda: MappingProxyType({}))
    references: MappingProxyType[str, str] = field(default_factory=lambda: MappingProxyType({}))
    _names: dict[str, list[str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names: dict[str, list[str]] = {}
        for reference in sorted(self.references):
            names.setdefault(self.references[reference], []).append(reference)
        object.__setattr__(self, "_names", names)  # derived, once: the class is frozen

    def references_of(self, image_id: str) -> list[str]:
        """In order."""
        return list(self._names.get(image_id, ()))

    def children(self, image_id: str) -> list[str]:
        """Ids of the images built from it here."""
        return [other for other, about in self.about.items() if about.parent == image_id]


def parse_config(data: bytes) -> tuple[dict[str, Any], list[str]]:
    """An image configuration and its diff ids; raises `InvalidArgument` for what cannot be one."""
    try:
        config = json.loads(data)
    except (ValueError, RecursionError):
        raise InvalidArgument("the image's configuration is not JSON") from None
    rootfs = config.get("rootfs") if isinstance(config, dict) else None
    diff_ids = rootfs.get("diff_ids") or [] if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list) or not all(isinstance(one, str) and is_digest(one) for one in diff_ids):
        raise InvalidArgument("the image's configuration has no valid list of layers (rootfs.diff_ids)")
    if len(diff_ids) > MAX_LAYERS:
        raise InvalidArgument(f"the image has {len(diff_ids)} layers; {MAX_LAYERS} is the limit")
    _check_shape(config)
    return config, diff_ids


def _check_shape(config: dict[str, Any]) -> None:
    """What the rest of the engine relies on; each may also be missing or null."""
    inner = config.get("config")
    shapes: list[tuple[Any, str, type]] = [(config, "config", dict), (config, "history", list)]
    if isinstance(inner, dict):
        shapes += [(inner, name, list) for name in ("Env", "Cmd", "Entrypoint", "OnBuild", "Shell")]
        shapes += [(inner, name, dict) for name in ("Labels", "Volumes", "ExposedPorts", "Healthcheck")]
        shapes += [(inner, name, str) for name in ("User", "WorkingDir", "StopSignal")]
    for holder, name, kind in shapes:
        value = holder.get(name)
        if value is not None and not (
            isinstance(value, kind) and all(isinstance(text, str) for text in _texts(name, value))
        ):
            raise InvalidArgument(f"the image's configuration is malformed: {name}")


def _texts(name: str, value: Any) -> Iterable[Any]:
    if name in ("Env", "Cmd", "Entrypoint", "OnBuild", "Shell"):
        return list(value)
    return value.values() if name == "Labels" else ()


class ImageStore:
    """See the module's description. Changing calls block on the disk; safe to call from several threads."""

    def __init__(self, root: Path, has_layer: Callable[[str], bool]) -> None:
        self._configs = root / "configs"
        self._about = root / "about"
        self._references_file = root / "references.json"
        self._lock = threading.Lock()
        for folder in (self._configs, self._about):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for leftover in folder.glob(".*.tmp"):
                leftover.unlink()
        for leftover in root.glob(".*.tmp"):
            leftover.unlink()
        self.snapshot = self._load(has_layer)
        """Replaced whole at every change."""

    def raw_config(self, image_id: str) -> bytes:
        """The configuration document as it came; its digest is the id."""
        return (self._configs / hex_of(image_id)).read_bytes()

    def add(self, data: bytes, about: About | None = None) -> tuple[Image, bool]:
        """Add the image with the configuration *data*, whose layers are all there; whether it is new."""
        image_id = digest_of(data)
        config, diff_ids = parse_config(data)
        image = Image(image_id, config, chain_ids(diff_ids))
        with self._lock:
            if image_id in self.snapshot.images:
                return self.snapshot.images[image_id], False
            known = about or About()
            write_document(self._about / f"{hex_of(image_id)}.json", asdict(known))
            write_bytes(self._configs / hex_of(image_id), data)
            self._set(images={**self.snapshot.images, image_id: image}, about={**self.snapshot.about, image_id: known})
        return image, True

    def remove(self, image_id: str) -> None:
        """Remove an image that no reference means any more; fine when absent."""
        with self._lock:
            if image_id not in self.snapshot.images:
                return
            if image_id in self.snapshot.references.values():
                raise EngineError(f"image {image_id} still has names")
            (self._configs / hex_of(image_id)).unlink(missing_ok=True)
            sync_folder(self._configs)
            (self._about / f"{hex_of(image_id)}.json").unlink(missing_ok=True)
            self._set(
                images={one: image for one, image in self.snapshot.images.items() if one != image_id},
                about={one: about for one, about in self.snapshot.about.items() if one != image_id},
            )

    def name(self, image_id: str, references: Iterable[str]) -> None:
        """Let *references* mean the image from now on, whatever they meant before."""
        names = list(references)
        with self._lock:
            if image_id not in self.snapshot.images:
                raise EngineError(f"image {image_id} has been removed meanwhile")
            self._write_references({**self.snapshot.references, **dict.fromkeys(names, image_id)})
            if any("@" not in name for name in names):
                about = replace(self.snapshot.about.get(image_id, About()), last_tagged=time.time())
                write_document(self._about / f"{hex_of(image_id)}.json", asdict(about))
                self._set(about={**self.snapshot.about, image_id: about})

    def unname(self, references: Iterable[str]) -> list[str]:
        """Forget references; those that there were."""
        with self._lock:
            gone = [one for one in references if one in self.snapshot.references]
            if gone:
                self._write_references(
                    {one: target for one, target in self.snapshot.references.items() if one not in gone}
                )
        return gone

    def _write_references(self, references: dict[str, str]) -> None:
        write_document(self._references_file, references)
        self._set(references=references)

    def _set(self, **changes: dict[str, Any]) -> None:
        frozen: dict[str, Any] = {name: MappingProxyType(value) for name, value in changes.items()}
        self.snapshot = replace(self.snapshot, **frozen)

    def _load(self, has_layer: Callable[[str], bool]) -> Snapshot:
        images: dict[str, Image] = {}
        about: dict[str, About] = {}
        for path in self._configs.iterdir():
            image = self._load_one(path, has_layer)
            if image is not None:
                images[image.id] = image
                about[image.id] = self._load_about(path.name)
        for path in self._about.iterdir():
            if f"sha256:{path.stem}" not in images and not (self._configs / path.stem).exists():
                path.unlink()
        stored = read_document(self._references_file) or {}
        references = {name: target for name, target in stored.items() if target in images}
        return Snapshot(MappingProxyType(images), MappingProxyType(about), MappingProxyType(references))

    def _load_one(self, path: Path, has_layer: Callable[[str], bool]) -> Image | None:
        data = path.read_bytes()
        try:
            if digest_of(data) != f"sha256:{path.name}":
                raise InvalidArgument("its configuration is not what its digest says")
            config, diff_ids = parse_config(data)
        except InvalidArgument as error:
            _log.warning("image %s is damaged and not shown: %s", path.name, error)
            return None
        chains = chain_ids(diff_ids)
        if not all(has_layer(chain) for chain in chains):
            _log.warning("image %s has lost a layer and is not shown", path.name)
            return None
        return Image(f"sha256:{path.name}", config, chains)

    def _load_about(self, name: str) -> About:
        document = read_document(self._about / f"{name}.json") or {}
        try:
            return About(str(document.get("parent", "")), float(document.get("last_tagged", 0)))
        except (TypeError, ValueError):
            return About()
