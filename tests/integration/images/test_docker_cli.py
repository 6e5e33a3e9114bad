"""The image commands of the real docker CLI against the image routes."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pymachine.dockerapi.messages import Answer, Request, Response
from pymachine.dockerapi.routing import Route, Router
from pymachine.dockerapi.server import APIServer
from pymachine.engine.api.images import image_routes
from pymachine.engine.images.service import ImageService
from support.busybox import rootfs_tar
from support.images import image_service, layer_tar
from support.registry import DOCKER_MANIFEST, Registry, available

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("docker") is None, reason="the docker CLI is not installed"),
    pytest.mark.skipif(not available(), reason="docker-registry is not installed"),
]


async def _ping(request: Request) -> Answer:
    return Response(body=b"OK", headers={"Api-Version": "1.47", "Ostype": "linux"})


class CLI:
    """Runs docker against one socket."""

    def __init__(self, folder: Path, socket: Path) -> None:
        self._folder = folder
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "DOCKER_HOST": f"unix://{socket}",
            "DOCKER_CONFIG": str(folder / "config"),
        }

    async def __call__(self, *words: str, status: int = 0) -> str:
        process = await asyncio.create_subprocess_exec(
            "docker",
            *words,
            env=self._env,
            cwd=self._folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == status, output.decode()
        return output.decode()


@asynccontextmanager
async def _served(folder: Path) -> AsyncIterator[tuple[CLI, ImageService]]:
    async with image_service(folder) as service:
        router = Router()
        router.add(Route("HEAD", "/_ping", _ping), Route("GET", "/_ping", _ping), *image_routes(service))
        server = APIServer(router)
        await server.listen_unix(folder / "api.sock", group="")
        try:
            yield CLI(folder, folder / "api.sock"), service
        finally:
            await server.close(1)


def test_a_users_day_with_images(tmp_path: Path) -> None:
    async def run(registry: Registry) -> None:
        registry.push("team/app", "1", [layer_tar({"a": b"1"}), layer_tar({"b": b"22"})])
        (tmp_path / "root.tar").write_bytes(rootfs_tar())
        async with _served(tmp_path) as (docker, service):
            name = f"{registry.address}/team/app:1"
            assert "Status: Downloaded newer image" in await docker("pull", name)
            assert "Image is up to date" in await docker("pull", name)
            assert "manifest unknown" in await docker("pull", f"{registry.address}/team/app:2", status=1)
            imported = await docker("import", "--change", 'CMD ["sh"]', "root.tar", "busybox")
            assert imported.strip() == (await service.get("busybox")).id
            listed = await docker("images", "--format", "{{.Repository}}:{{.Tag}}")
            assert sorted(listed.split()) == [name, "busybox:latest"]
            await docker("tag", "busybox", "mine:2")
            inspected = json.loads(await docker("image", "inspect", "mine:2"))
            assert inspected[0]["RepoTags"] == ["busybox:latest", "mine:2"]
            assert inspected[0]["Config"]["Cmd"] == ["sh"]
            assert "layer 1" in await docker("history", name)
            await docker("save", "-o", "saved.tar", "mine:2", name)
            again = f"{registry.address}/team/again:5"
            await docker("tag", "mine:2", again)
            pushed = await docker("push", again)
            assert "Pushed" in pushed
            digest = (await service.inspect(again))["RepoDigests"][0].partition("@")[2]
            assert f"5: digest: {digest} size:" in pushed
            assert json.loads(registry.get(f"/v2/team/again/manifests/{digest}", DOCKER_MANIFEST))["layers"]
            assert "Layer already exists" in await docker("push", again)
            assert "does not exist locally" in await docker("push", "127.0.0.1:1/absent", status=1)
            await docker("rmi", again)
            assert "Downloaded newer image" in await docker("pull", again)
            assert (await service.get(again)).id == (await service.get("mine:2")).id
            await docker("rmi", again)
            assert "Untagged: mine:2" in await docker("rmi", "mine:2")
            assert "Deleted: sha256:" in await docker("rmi", "busybox", name)
            assert service.count() == 0
            loaded = await docker("load", "-i", "saved.tar")
            assert "Loaded image: mine:2" in loaded
            assert f"Loaded image: {name}" in loaded
            assert "No such image: absent" in await docker("rmi", "absent", status=1)
            assert "Total reclaimed space" in await docker("image", "prune", "-af")
            assert service.count() == 0

    with Registry(tmp_path) as registry:
        asyncio.run(run(registry))
