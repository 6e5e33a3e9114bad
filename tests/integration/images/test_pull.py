"""Pulling from the real registry, over plain HTTP and over TLS with passwords."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pymachine.dockerapi.errors import EngineError, NotFound, Unauthorized
from pymachine.engine.events import EventBus
from pymachine.engine.images import platforms
from pymachine.engine.images.reference import parse
from pymachine.engine.images.registry.credentials import from_header
from pymachine.engine.images.service import ImageService
from support.images import image_service, layer_tar
from support.registry import Registry, available

pytestmark = [pytest.mark.root, pytest.mark.skipif(not available(), reason="docker-registry is not installed")]

ONE = layer_tar({"etc/one": b"1" * 5000, "etc/both": b"old"}, folders=["etc"])
TWO = layer_tar({"etc/two": b"2" * 7000, "etc/.wh.both": b""})


async def _pull(service: ImageService, name: str, **options: Any) -> list[dict[str, Any]]:
    return [message async for message in service.pull(parse(name), **options)]


def _texts(messages: list[dict[str, Any]]) -> list[str]:
    return [message["status"] for message in messages]


@pytest.mark.parametrize("oci", [False, True])
def test_a_pull_fetches_the_layers_and_a_second_one_finds_them(tmp_path: Path, oci: bool) -> None:
    async def run(registry: Registry) -> None:
        digest = registry.push("team/app", "v1", [ONE, TWO], {"config": {"Cmd": ["/app"]}}, oci=oci)
        name = f"{registry.address}/team/app:v1"
        events = EventBus()
        async with image_service(tmp_path, events=events) as service:
            messages = await _pull(service, name)
            texts = _texts(messages)
            assert messages[0] == {"status": f"Pulling from {registry.address}/team/app", "id": "v1"}
            assert texts.count("Pulling fs layer") == texts.count("Pull complete") == 2
            assert texts[-2:] == [f"Digest: {digest}", f"Status: Downloaded newer image for {name}"]
            image = await service.inspect(name)
            assert image["RepoTags"] == [name]
            assert image["RepoDigests"] == [f"{registry.address}/team/app@{digest}"]
            assert image["Config"]["Cmd"] == ["/app"]
            assert image["Size"] == 5000 + 3 + 7000
            assert (await service.get(f"{registry.address}/team/app@{digest}")).id == image["Id"]
            assert [event["Action"] for event in events.kept()] == ["pull"]
            assert list((tmp_path / "images/partial").iterdir()) == []

            again = _texts(await _pull(service, name))
            assert again.count("Already exists") == 2
            assert again[-1] == f"Status: Image is up to date for {name}"

            graph = service.core.driver
            graph.create_container("c", (await service.get(name)).top_layer)
            with graph.mounted("c") as root:
                assert sorted(path.name for path in (root / "etc").iterdir()) == ["one", "two"]
            graph.remove_container("c")

    with Registry(tmp_path) as registry:
        asyncio.run(run(registry))


def test_tls_with_the_registrys_own_authority_and_a_password(tmp_path: Path) -> None:
    async def run(registry: Registry) -> None:
        registry.push("private", "1", [ONE])
        certs = tmp_path / "certs.d"
        (certs / registry.address).mkdir(parents=True)
        shutil.copy(registry.ca_file, certs / registry.address / "ca.crt")
        name = f"{registry.address}/private:1"
        async with image_service(tmp_path, certs_dir=certs) as service:
            with pytest.raises(Unauthorized, match="pull access denied"):
                await _pull(service, name)
            await _pull(service, name, credentials=from_header(registry.auth_header()))
            assert service.names((await service.get(name)).id) == [name]
        (certs / registry.address / "ca.crt").unlink()
        async with image_service(tmp_path, certs_dir=certs) as service:
            with pytest.raises(EngineError, match="certificate"):
                await _pull(service, name, credentials=from_header(registry.auth_header()))

    with Registry(tmp_path, tls=True, users={"joe": "secret"}) as registry:
        asyncio.run(run(registry))


def test_of_a_list_the_manifest_of_this_platform_is_taken(tmp_path: Path) -> None:
    async def run(registry: Registry) -> None:
        here = platforms.host()
        mine = registry.push("multi", "", [ONE], {"architecture": here.architecture})
        other = registry.push("multi", "", [TWO], {"architecture": "s390x"})
        digest = registry.push_index("multi", "latest", {"linux/s390x": other, str(here): mine})
        name = f"{registry.address}/multi"
        async with image_service(tmp_path) as service:
            await _pull(service, name)
            assert (await service.inspect(name))["Architecture"] == here.architecture
            assert (await service.inspect(name))["RepoDigests"] == [f"{name}@{digest}"]
            await _pull(service, name, platform="linux/s390x")
            assert (await service.inspect(name))["Architecture"] == "s390x"
            with pytest.raises(NotFound, match="no matching manifest for linux/ppc64le"):
                await _pull(service, name, platform="linux/ppc64le")

    with Registry(tmp_path) as registry:
        asyncio.run(run(registry))


def test_pulls_of_one_image_at_once_share_the_work(tmp_path: Path) -> None:
    async def run(registry: Registry) -> None:
        registry.push("shared", "latest", [ONE, TWO])
        events = EventBus()
        async with image_service(tmp_path, events=events) as service:
            several = await asyncio.gather(*(_pull(service, f"{registry.address}/shared") for _ in range(5)))
            assert {_texts(messages)[-1] for messages in several} == {
                f"Status: Downloaded newer image for {registry.address}/shared:latest"
            }
            assert len(events.kept()) == 1

    with Registry(tmp_path) as registry:
        asyncio.run(run(registry))


def test_a_half_fetched_blob_is_continued_and_a_damaged_one_is_never_kept(tmp_path: Path) -> None:
    async def run(registry: Registry) -> None:
        registry.push("big", "latest", [ONE], compress=lambda data: data)
        hexadecimal = hashlib.sha256(ONE).hexdigest()
        (tmp_path / "images/partial").mkdir(parents=True)
        (tmp_path / "images/partial" / hexadecimal).write_bytes(ONE[:4000])
        async with image_service(tmp_path) as service:
            await _pull(service, f"{registry.address}/big")
        registry.push("bad", "latest", [TWO], compress=lambda data: data)
        blob = registry.blob_file("sha256:" + hashlib.sha256(TWO).hexdigest())
        blob.write_bytes(b"X" + blob.read_bytes()[1:])
        async with image_service(tmp_path) as service:
            with pytest.raises(EngineError, match="verification failed|instead of"):
                await _pull(service, f"{registry.address}/bad")
            assert service.count() == 1

    with Registry(tmp_path) as registry:
        asyncio.run(run(registry))


def test_what_is_missing_or_unreachable_is_said_clearly(tmp_path: Path) -> None:
    async def run(registry: Registry) -> None:
        registry.push("there", "latest", [ONE])
        async with image_service(tmp_path) as service:
            with pytest.raises(NotFound, match="manifest for .*/there:nope not found: manifest unknown"):
                await _pull(service, f"{registry.address}/there:nope")
            with pytest.raises(NotFound, match="pull access denied for .*repository does not exist|manifest for"):
                await _pull(service, f"{registry.address}/absent")
            with pytest.raises(EngineError, match='Get "http'):
                await _pull(service, "127.0.0.1:1/x")
            assert service.count() == 0

    with Registry(tmp_path) as registry:
        asyncio.run(run(registry))


def test_a_mirror_serves_hub_images(tmp_path: Path) -> None:
    async def run(registry: Registry) -> None:
        registry.push("library/busybox", "latest", [ONE])
        async with image_service(tmp_path, mirrors=[f"http://{registry.address}"]) as service:
            await _pull(service, "busybox")
            assert service.names((await service.get("busybox")).id) == ["busybox:latest"]

    with Registry(tmp_path) as registry:
        asyncio.run(run(registry))


def test_a_pull_that_nobody_follows_any_more_is_cancelled(tmp_path: Path) -> None:
    async def run(registry: Registry) -> None:
        registry.push("left", "latest", [ONE])
        async with image_service(tmp_path) as service:
            messages = service.pull(parse(f"{registry.address}/left"))
            assert isinstance(messages, AsyncIterator)
            await anext(messages)
            await messages.aclose()  # type: ignore[attr-defined]
            await asyncio.sleep(0.3)
            assert service.count() in (0, 1)
            assert service._puller._running == {}

    with Registry(tmp_path) as registry:
        asyncio.run(run(registry))
