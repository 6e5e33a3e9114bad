"""What a power cut can do to layers that had not reached the disk."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from pymachine.engine.images.reference import parse
from support.images import image_service, layer_tar, pieces

pytestmark = pytest.mark.root


def _another_boot(folder: Path) -> None:
    for path in (folder / "images/layers").glob("*/layer.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "boot": "an earlier one"}))


def test_after_another_boot_unsettled_layers_are_checked_and_cut_ones_dropped(tmp_path: Path) -> None:
    async def run() -> None:
        async with image_service(tmp_path) as service:
            await service.import_archive(pieces(layer_tar({"whole": b"1" * 100})), parse("whole"))
            await service.import_archive(pieces(layer_tar({"cut": b"2" * 100})), parse("cut"))
            chain = (await service.get("cut")).chain_ids[0]
            damaged = service.core.driver.layer_path(chain) / "cut"
        _another_boot(tmp_path)
        damaged.write_bytes(b"")
        async with image_service(tmp_path) as service:
            assert [entry["RepoTags"] for entry in await service.summaries()] == [["whole:latest"]]
            assert len(list(service.core.driver.layers())) == 1

    asyncio.run(run())


def test_settled_layers_are_taken_as_they_are(tmp_path: Path) -> None:
    async def run() -> None:
        async with image_service(tmp_path) as service:
            image = await service.import_archive(pieces(layer_tar({"a": b"1"})), parse("a"))
            await service.core.run(service.core.layers._settling.settle)
            assert (tmp_path / "images/layers" / image.chain_ids[0][7:] / "settled").exists()
        _another_boot(tmp_path)
        async with image_service(tmp_path) as service:
            assert service.count() == 1

    asyncio.run(run())
