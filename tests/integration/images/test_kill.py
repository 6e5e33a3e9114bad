"""A daemon killed at any moment of importing, tagging, loading or removing: the next one finds order."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.images import image_service

pytestmark = pytest.mark.root

_WORK = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from support.images import image_service, layer_tar, pieces
from pymachine.engine.images.reference import parse

async def work():
    async with image_service(Path(sys.argv[1]), driver=sys.argv[3]) as service:
        print("ready", flush=True)
        for number in range(10_000):
            files = {f"f{n}": bytes([number % 256]) * 3000 for n in range(30)}
            image = await service.import_archive(pieces(layer_tar(files)), parse(f"app:{number % 3}"))
            await service.tag(image.id, "other", str(number % 2))
            archive = b"".join([piece async for piece in service.save(["other"])])
            await service.remove(image.id, force=True)
            async for _ in service.load(pieces(archive)):
                pass
            await service.prune()

asyncio.run(work())
"""


@pytest.mark.parametrize("driver", ["overlay2", "vfs"])
def test_a_killed_daemon_leaves_only_whole_images(tmp_path: Path, driver: str) -> None:
    chance = random.Random(11)
    support = Path(__file__).parents[2]

    async def check() -> int:
        async with image_service(tmp_path, driver=driver) as service:
            store, layers = service.core.store.snapshot, service.core.layers
            for target in store.references.values():
                assert target in store.images
            for image in store.images.values():
                for chain in image.chain_ids:
                    tar = b"".join(layers.tar(chain))
                    assert len(tar) == layers._layers[chain].tar_size
            assert {one.chain_id for one in layers.all()} == set(service.core.driver.layers())
            wanted = {chain for image in store.images.values() for chain in image.chain_ids}
            assert set(service.core.driver.layers()) == wanted
            assert list((tmp_path / "images/tmp").iterdir()) == []
            assert list((tmp_path / "graph" / driver / "tmp").iterdir()) == []
            return len(store.images)

    seen = 0
    for _ in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", _WORK, str(tmp_path), str(support), driver], stdout=subprocess.PIPE
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(chance.uniform(0.01, 0.4))
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        seen += asyncio.run(check())
    assert seen > 0
