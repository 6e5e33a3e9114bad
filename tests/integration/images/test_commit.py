"""A container's changes become a layer that gives the same files again, on both drivers."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from pymachine.engine.images.reference import parse
from support.images import image_service, layer_tar, pieces

pytestmark = pytest.mark.root

BASE = layer_tar(
    {"etc/a": b"a", "etc/b": b"b", "d/old": b"old", "d/deep/x": b"x", "gone/y": b"y"},
    folders=["etc", "d", "d/deep", "gone"],
)


def _look(root: Path) -> dict[str, tuple[int, int, int, bytes]]:
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(root))] = (status.st_mode, status.st_uid, status.st_mtime_ns, content)
    return found


@pytest.mark.parametrize("driver", ["overlay2", "vfs"])
def test_a_committed_container_looks_the_same(tmp_path: Path, driver: str) -> None:
    async def run() -> None:
        async with image_service(tmp_path, driver=driver) as service:
            base = await service.import_archive(pieces(BASE), parse("base"), changes=["ENV A=1"])
            graph = service.core.driver
            graph.create_container("c", base.top_layer)
            with graph.mounted("c") as root:
                (root / "etc/a").unlink()
                (root / "etc/new").write_bytes(b"n" * 100_000)
                os.link(root / "etc/new", root / "etc/linked")
                os.chown(root / "etc/new", 1000, 1000)
                (root / "d/deep/x").write_bytes(b"changed")
                (root / "link").symlink_to("/etc/passwd")
                shutil.rmtree(root / "gone")
                (root / "gone").mkdir(mode=0o700)
                (root / "gone/z").write_bytes(b"z")
                os.setxattr(root / "gone/z", "user.note", b"\xff\x00binary")
                os.mkfifo(root / "pipe")
                (root / "dev/pts").mkdir(parents=True)
                mount_points = ("dev/console", "etc/hosts")  # the runtime makes them
                for name in mount_points:
                    (root / name).touch()
                wanted = {name: it for name, it in _look(root).items() if name not in (*mount_points, "dev/pts")}
            image = await service.commit(
                "c", base.id, base.config["config"], parse("made:1"), changes=['CMD ["x"]'], message="why"
            )
            assert (await service.inspect("made:1"))["Parent"] == base.id
            assert (await service.inspect("made:1"))["Config"]["Cmd"] == ["x"]
            assert [step["Comment"] for step in await service.history("made:1")][0] == "why"
            graph.create_container("again", image.top_layer)
            with graph.mounted("again") as root:
                assert _look(root) == wanted
                assert os.getxattr(root / "gone/z", "user.note") == b"\xff\x00binary"
                assert (root / "etc/linked").stat().st_nlink == 2
            for container in ("c", "again"):
                graph.remove_container(container)
            assert {"Untagged": "base:latest"} in await service.remove("base", force=True)
            removed = await service.remove("made:1")
            assert {"Deleted": base.id} in removed  # the nameless parent goes along
            assert list(graph.layers()) == []

    asyncio.run(run())
