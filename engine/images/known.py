"""Which compressed blob a layer was last seen as in a registry, so that pushing it back needs no upload.

One small document a layer, ``blobs/HEX.json`` by diff id; losing one costs time only.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pymachine.engine.images.reference import hex_of, is_digest
from pymachine.engine.images.registry.manifests import Descriptor
from pymachine.engine.storage.disk import read_document, write_document


class KnownBlobs:
    """Calls block; safe to call from several threads."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "blobs"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def get(self, diff_id: str) -> Descriptor | None:
        """The blob, if one is known."""
        document = read_document(self._path(diff_id)) or {}
        digest, size = document.get("digest"), document.get("size")
        if isinstance(digest, str) and is_digest(digest) and isinstance(size, int):
            return Descriptor(digest, size)
        return None

    def remember(self, diff_id: str, blob: Descriptor) -> None:
        """From now on this one."""
        known = self.get(diff_id)
        if known is None or known.digest != blob.digest:
            write_document(self._path(diff_id), {"digest": blob.digest, "size": blob.size})

    def sweep(self, diff_ids: Iterable[str]) -> None:
        """Forget all layers but these."""
        wanted = {f"{hex_of(diff_id)}.json" for diff_id in diff_ids}
        for path in self._folder.iterdir():
            if path.name not in wanted:
                path.unlink(missing_ok=True)

    def _path(self, diff_id: str) -> Path:
        return self._folder / f"{hex_of(diff_id)}.json"
