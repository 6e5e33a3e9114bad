"""The image store: names, lookup, and what a crash at any point leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pymachine.dockerapi.errors import EngineError, InvalidArgument, NotFound
from pymachine.engine.images.chains import digest_of
from pymachine.engine.images.lookup import find
from pymachine.engine.images.store import ImageStore

BUSYBOX = "docker.io/library/busybox:latest"


def _config(number: int, layers: int = 0) -> bytes:
    diff_ids = [digest_of(bytes([one])) for one in range(layers)]
    return json.dumps({"created": f"2024-01-0{number}T00:00:00Z", "rootfs": {"diff_ids": diff_ids}}).encode()


def _open(folder: Path, has_layer: Callable[[str], bool] = lambda chain: True) -> ImageStore:
    return ImageStore(folder, has_layer)


def test_images_and_names_are_there_after_a_restart(tmp_path: Path) -> None:
    store = _open(tmp_path)
    image, new = store.add(_config(1, 2))
    assert new
    assert not store.add(_config(1, 2))[1]
    store.name(image.id, [BUSYBOX, "docker.io/library/busybox@" + image.id])
    again = _open(tmp_path)
    assert find(again.snapshot, "busybox").id == image.id
    assert again.raw_config(image.id) == _config(1, 2)
    assert again.snapshot.about[image.id].last_tagged > 0
    assert again.unname([BUSYBOX, "absent:latest"]) == [BUSYBOX]
    with pytest.raises(EngineError, match="still has names"):
        again.remove(image.id)


def test_a_name_moves_from_one_image_to_another(tmp_path: Path) -> None:
    store = _open(tmp_path)
    first, second = store.add(_config(1))[0], store.add(_config(2))[0]
    store.name(first.id, [BUSYBOX])
    store.name(second.id, [BUSYBOX])
    assert store.snapshot.references_of(first.id) == []
    assert find(store.snapshot, "busybox:latest").id == second.id


def test_lookup_by_id_prefix_name_and_digest(tmp_path: Path) -> None:
    store = _open(tmp_path)
    image = store.add(_config(1))[0]
    for text in (image.id, image.id[7:], image.id[7:19], image.id[:20]):
        assert find(store.snapshot, text).id == image.id
    with pytest.raises(NotFound, match=r"^No such image: team/app:latest$"):
        find(store.snapshot, "team/app")
    with pytest.raises(NotFound, match="^No such image: sha256:0000$"):
        find(store.snapshot, "sha256:0000")
    with pytest.raises(NotFound, match="No such image: NO SUCH"):
        find(store.snapshot, "NO SUCH")


def test_what_a_crash_leaves_is_swept_or_hidden(tmp_path: Path) -> None:
    store = _open(tmp_path)
    image, other = store.add(_config(1))[0], store.add(_config(2))[0]
    store.name(image.id, [BUSYBOX])
    (tmp_path / "configs" / ".half.1234.tmp").write_bytes(b"{")
    (tmp_path / ".references.json.1.tmp").write_bytes(b"{")
    (tmp_path / "about" / f"{'0' * 64}.json").write_text("{}")  # written before its configuration
    (tmp_path / "about" / f"{image.id[7:]}.json").write_text('{"parent": ')
    (tmp_path / "configs" / other.id[7:]).write_bytes(b"not what it was")
    again = _open(tmp_path)
    assert list(again.snapshot.images) == [image.id]
    assert find(again.snapshot, "busybox").id == image.id
    assert sorted(path.name for path in tmp_path.rglob("*.tmp")) == []
    assert not (tmp_path / "about" / f"{'0' * 64}.json").exists()


def test_an_image_without_one_of_its_layers_is_not_shown(tmp_path: Path) -> None:
    image = _open(tmp_path).add(_config(1, 2))[0]
    assert _open(tmp_path, lambda chain: chain != image.chain_ids[1]).snapshot.images == {}
    assert list(_open(tmp_path).snapshot.images) == [image.id]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"rootfs": 1}',
        b'{"rootfs": {"diff_ids": ["x"]}}',
        b'{"rootfs": {"diff_ids": [1]}}',
        b'{"rootfs": {}, "config": []}',
        b'{"rootfs": {}, "history": {}}',
        b"[" * 100_000,
        json.dumps({"rootfs": {"diff_ids": ["sha256:" + "0" * 64] * 501}}).encode(),
    ],
)
def test_what_cannot_be_a_configuration_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        _open(tmp_path).add(data)
