"""Importing root file systems on the real drivers, as root."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pymachine.dockerapi.errors import InvalidArgument, NotFound
from pymachine.engine.events import EventBus
from pymachine.engine.images.reference import parse
from pymachine.engine.images.service import ImageService
from pymachine.engine.storage.select import open_driver
from support.busybox import rootfs_tar

pytestmark = pytest.mark.root


async def _body(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 100_000):
        yield data[start : start + 100_000]


def _service(folder: Path, driver: str, events: EventBus | None = None) -> ImageService:
    opened = open_driver(driver, folder / "graph")
    return ImageService(folder / "images", opened, events or EventBus(), users=lambda image_id: [])


@pytest.mark.parametrize("driver", ["overlay2", "vfs"])
def test_an_imported_root_is_found_mounted_and_given_back_byte_for_byte(tmp_path: Path, driver: str) -> None:
    tar = rootfs_tar()

    async def run() -> None:
        events = EventBus()
        service = _service(tmp_path, driver, events)
        target = parse("busybox").with_default_tag()
        image = await service.import_archive(
            _body(gzip.compress(tar)), target, changes=['CMD ["sh"]', "ENV A=1 B=2"], message="made by a test"
        )
        assert (await service.get("busybox")).id == image.id
        assert (await service.get(image.id[7:19])).id == image.id
        assert service.names(image.id) == ["busybox:latest"]
        assert image.chain_ids == ("sha256:" + hashlib.sha256(tar).hexdigest(),)
        inspected = await service.inspect("busybox")
        assert inspected["Config"]["Cmd"] == ["sh"]
        assert inspected["Config"]["Env"] == ["A=1", "B=2"]
        assert inspected["Comment"] == "made by a test"
        assert [event["Action"] for event in events.kept()] == ["import", "tag"]
        assert b"".join(service.core.layers.tar(image.chain_ids[0])) == tar

        graph = service.core.driver
        graph.create_container("c1", image.top_layer)
        with graph.mounted("c1") as root:
            assert (root / "bin/busybox").stat().st_size > 100_000
            assert os.readlink(root / "bin/sh") == "/bin/busybox"
            assert stat.S_IMODE((root / "tmp").stat().st_mode) == 0o1777
            (root / "etc/new").write_bytes(b"x" * 1000)
        assert graph.usage("c1") == 1000
        graph.remove_container("c1")
        assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
        await service.close()

        again = _service(tmp_path, driver)
        assert (await again.get("busybox:latest")).id == image.id
        assert [entry["RepoTags"] for entry in await again.summaries()] == [["busybox:latest"]]
        await again.close()

    asyncio.run(run())


def test_a_bad_archive_or_change_leaves_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        service = _service(tmp_path, "overlay2")
        with pytest.raises(InvalidArgument, match="not a valid tar"):
            await service.import_archive(_body(b"this is no tar" * 100), None)
        with pytest.raises(InvalidArgument, match="FROM is not a valid change"):
            await service.import_archive(_body(rootfs_tar()), None, changes=["FROM scratch"])
        with pytest.raises(NotFound, match="No such image: nothing:latest"):
            await service.get("nothing")
        assert service.count() == 0
        assert list(service.core.driver.layers()) == []
        assert list((tmp_path / "images/tmp").iterdir()) == []
        await service.close()

    asyncio.run(run())
