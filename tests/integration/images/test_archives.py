"""Saving and loading, by ourselves and with other tools; removing and pruning."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from pymachine.dockerapi.errors import Conflict, InvalidArgument, NotFound
from pymachine.dockerapi.filters import Filters
from pymachine.engine.events import EventBus
from pymachine.engine.images.base import ImageUser
from pymachine.engine.images.reference import parse
from pymachine.engine.images.service import ImageService
from support.images import image_service, layer_tar, pieces
from support.registry import Registry, available

pytestmark = pytest.mark.root

ONE = layer_tar({"etc/one": b"1" * 5000, "etc/both": b"old"}, folders=["etc"])
TWO = layer_tar({"etc/two": b"2" * 7000, "etc/.wh.both": b""})


async def _two_layers(service: ImageService, *names: str) -> str:
    """An image of two layers made the way the builder does it."""
    from pymachine.engine.images.importing import add_image, add_layer

    first = await add_layer(service.core, None, pieces(ONE))
    second = await add_layer(service.core, first.chain_id, pieces(TWO))
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": {"made": "here"}},
        "rootfs": {"type": "layers", "diff_ids": [first.diff_id, second.diff_id]},
        "history": [
            {"created_by": "one"},
            {"created_by": "env", "empty_layer": True},
            {"created_by": "two"},
        ],
    }
    image = add_image(service.core, config)
    for name in names:
        repository, _, tag = name.partition(":")
        await service.tag(image.id, repository, tag)
    return image.id


async def _saved(service: ImageService, *names: str) -> bytes:
    return b"".join([piece async for piece in service.save(names)])


@pytest.mark.parametrize("driver", ["overlay2", "vfs"])
@pytest.mark.parametrize("compress", [lambda data: data, lambda data: gzip.compress(data, 1)])
def test_what_is_saved_loads_elsewhere_as_the_same_image(tmp_path: Path, driver: str, compress: object) -> None:
    assert callable(compress)

    async def run() -> None:
        async with image_service(tmp_path / "one", driver=driver) as service:
            image_id = await _two_layers(service, "app:1", "app:2", "other:3")
            archive = await _saved(service, "app")
            history = await service.history("app:1")
            assert [(step["CreatedBy"], step["Size"]) for step in history] == [
                ("two", 7000),
                ("env", 0),
                ("one", 5003),
            ]
            assert history[0]["Id"] == image_id
        events = EventBus()
        async with image_service(tmp_path / "two", driver=driver, events=events) as service:
            said = [message["stream"] async for message in service.load(pieces(compress(archive)))]
            assert said == ["Loaded image: app:1\n", "Loaded image: app:2\n"]
            assert (await service.get("app:2")).id == image_id
            assert "load" in [event["Action"] for event in events.kept()]
            with pytest.raises(NotFound):
                await service.get("other:3")
            graph = service.core.driver
            graph.create_container("c", (await service.get("app:1")).top_layer)
            with graph.mounted("c") as root:
                assert sorted(os.listdir(root / "etc")) == ["one", "two"]
            graph.remove_container("c")

    asyncio.run(run())


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
def test_other_tools_read_our_archive_and_we_read_their_oci_layout(tmp_path: Path) -> None:
    async def run() -> None:
        async with image_service(tmp_path / "one") as service:
            image_id = await _two_layers(service, "app:1")
            (tmp_path / "app.tar").write_bytes(await _saved(service, "app:1"))
        for kind, target in (("docker-archive", "oci:layout:docker.io/library/copy:9"), ("docker-archive", "dir:dir")):
            subprocess.run(
                ["skopeo", "--insecure-policy", "copy", f"{kind}:{tmp_path}/app.tar", target],
                cwd=tmp_path,
                check=True,
                capture_output=True,
            )
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for path in sorted((tmp_path / "layout").rglob("*")):
                tar.add(path, str(path.relative_to(tmp_path / "layout")), recursive=False)
        async with image_service(tmp_path / "two") as service:
            said = [message["stream"] async for message in service.load(pieces(buffer.getvalue()))]
            assert said == ["Loaded image: copy:9\n"]
            layers = (await service.inspect("copy:9"))["RootFS"]["Layers"]
            assert len(layers) == 2
            assert image_id.startswith("sha256:")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"x": b""}, "holds no image"),
        ({"manifest.json": b"{}"}, "not a list"),
        ({"manifest.json": b"[{}]"}, "malformed"),
        ({"manifest.json": b"nonsense"}, "not JSON"),
        ({"manifest.json": json.dumps([{"Config": "../../etc/passwd", "Layers": []}]).encode()}, "would leave"),
        ({"manifest.json": json.dumps([{"Config": "absent", "Layers": []}]).encode()}, "has no file 'absent'"),
        (
            {
                "manifest.json": json.dumps([{"Config": "c", "Layers": ["l"], "RepoTags": ["a:b"]}]).encode(),
                "c": json.dumps({"rootfs": {"diff_ids": ["sha256:" + "0" * 64]}}).encode(),
                "l": ONE,
            },
            "unpacks to sha256",
        ),
    ],
)
def test_a_damaged_archive_is_refused_and_leaves_nothing(
    tmp_path: Path, members: dict[str, bytes], message: str
) -> None:
    async def run() -> None:
        from pymachine.dockerapi.errors import EngineError

        async with image_service(tmp_path) as service:
            with pytest.raises(EngineError, match=message):
                async for _ in service.load(pieces(layer_tar(members))):
                    pass
            assert service.count() == 0
            assert list(service.core.driver.layers()) == []

    asyncio.run(run())


def test_removal_by_name_by_id_and_its_conflicts(tmp_path: Path) -> None:
    using: list[ImageUser] = []

    async def run() -> None:
        events = EventBus()
        async with image_service(tmp_path, events=events, users=lambda image_id: using) as service:
            image_id = await _two_layers(service, "app:1", "app:2", "else:1")
            assert await service.remove("app:1") == [{"Untagged": "app:1"}]
            with pytest.raises(Conflict, match=r"\(must be forced\) - image is referenced in multiple repositories"):
                await service.remove(image_id)
            await service.remove("else:1")
            using[:] = [ImageUser("c" * 64, running=False)]
            with pytest.raises(Conflict, match=r'repository reference "app:2" \(must force\) - container cccccccccccc'):
                await service.remove("app:2")
            with pytest.raises(Conflict, match="is being used by stopped container cccccccccccc"):
                await service.remove(image_id[7:20])
            using[:] = [ImageUser("c" * 64, running=True)]
            with pytest.raises(Conflict, match=r"\(cannot be forced\) - image is being used by running container"):
                await service.remove(image_id, force=True)
            using.clear()
            removed = await service.remove("app:2")
            assert removed[:2] == [{"Untagged": "app:2"}, {"Deleted": image_id}]
            assert len(removed) == 4  # and its two layers
            assert service.count() == 0
            assert list(service.core.driver.layers()) == []
            assert [event["Action"] for event in events.kept()][-2:] == ["untag", "delete"]
            with pytest.raises(NotFound, match="No such image: app:2"):
                await service.remove("app:2")

    asyncio.run(run())


def test_a_forced_removal_leaves_the_layers_that_a_container_stands_on(tmp_path: Path) -> None:
    async def run() -> None:
        async with image_service(tmp_path, users=lambda image_id: [ImageUser("c1", running=False)]) as service:
            image_id = await _two_layers(service, "app:1")
            graph = service.core.driver
            graph.create_container("c1", (await service.get("app:1")).top_layer)
            assert {"Deleted": image_id} in await service.remove("app:1", force=True)
            assert len(list(graph.layers())) == 2
        async with image_service(tmp_path) as service:  # nor does a restart take them
            graph = service.core.driver
            with graph.mounted("c1") as root:
                assert (root / "etc/one").stat().st_size == 5000
            graph.remove_container("c1")
            await service.prune()
            service.core.collect()
            assert list(graph.layers()) == []

    asyncio.run(run())


def test_prune_takes_what_has_no_tag_and_on_request_what_nobody_uses(tmp_path: Path) -> None:
    async def run() -> None:
        async with image_service(tmp_path) as service:
            image_id = await _two_layers(service, "app:1")
            other = await service.import_archive(pieces(ONE), parse("other:1"))
            await service.tag(other.id, "app", "1")
            listed = await service.summaries(Filters({"dangling": ["true"]}))
            assert [entry["Id"] for entry in listed] == [image_id]
            assert (await service.summaries(Filters({"reference": ["app"]})))[0]["RepoTags"] == ["app:1"]
            assert await service.summaries(Filters({"label": ["made=elsewhere"]})) == []
            pruned = await service.prune()
            assert {"Deleted": image_id} in pruned["ImagesDeleted"]
            assert pruned["SpaceReclaimed"] == 7000
            assert service.count() == 1
            usage = await service.disk_usage()
            assert usage["LayersSize"] == 5003
            await service.prune(Filters({"dangling": ["false"]}))
            assert service.count() == 0
            assert (await service.disk_usage())["LayersSize"] == 0

    asyncio.run(run())


@pytest.mark.skipif(not available(), reason="docker-registry is not installed")
def test_distribution_describes_without_fetching(tmp_path: Path) -> None:
    async def run(registry: Registry) -> None:
        digest = registry.push("app", "1", [ONE])
        async with image_service(tmp_path) as service:
            about = await service.distribution(parse(f"{registry.address}/app:1"))
            assert about["Descriptor"]["digest"] == digest
            assert about["Platforms"] == [{"architecture": "amd64", "os": "linux"}]
            assert service.count() == 0
            with pytest.raises(InvalidArgument):
                service.reconfigure(["http://x"], [])

    with Registry(tmp_path) as registry:
        asyncio.run(run(registry))
