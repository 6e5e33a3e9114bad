"""Images through the CLI: pull, import, load, save, tag, rmi."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import registry
from support.busybox import rootfs_tar
from support.dockercli import inspect
from support.engineprocess import EngineProcess

pytestmark = pytest.mark.root


def test_pull_and_run(engine: EngineProcess, tmp_path: Path) -> None:
    if not registry.available():
        pytest.skip("no docker-registry here")
    config = {"config": {"Cmd": ["sh", "-c", "echo from $WHERE"], "Env": ["WHERE=registry"]}}
    with registry.Registry(tmp_path) as source:
        source.push("team/hello", "1", [rootfs_tar()], config)
        name = f"{source.address}/team/hello:1"
        assert engine.docker("run", "--rm", "--pull", "always", name).endswith("from registry\n")
        assert engine.docker("images", "-q", name)
        assert "not found" in engine.run("pull", f"{source.address}/team/hello:2").stderr
        engine.docker("rmi", name)


def test_import_with_changes(engine: EngineProcess) -> None:
    archive = str(engine.folder / "busybox.tar")
    engine.docker("import", "-c", 'ENTRYPOINT ["echo"]', "-c", 'CMD ["hi"]', "-c", "ENV A=b", archive, "says:1")
    assert engine.docker("run", "--rm", "says:1") == "hi\n"
    assert engine.docker("run", "--rm", "says:1", "you") == "you\n"
    assert engine.docker("run", "--rm", "--entrypoint", "id", "says:1", "-u") == "0\n"
    engine.docker("rmi", "says:1")


def test_save_and_load(engine: EngineProcess, tmp_path: Path) -> None:
    engine.docker("tag", "busybox", "saved:1")
    engine.docker("save", "-o", str(tmp_path / "image.tar"), "saved:1")
    engine.docker("rmi", "saved:1")
    assert "saved:1" in engine.docker("load", "-i", str(tmp_path / "image.tar"))
    assert engine.docker("run", "--rm", "saved:1", "echo", "loaded") == "loaded\n"
    engine.docker("rmi", "saved:1")


def test_an_image_in_use_stays(engine: EngineProcess) -> None:
    engine.docker("import", "-m", "own", str(engine.folder / "busybox.tar"), "used:1")
    engine.docker("create", "--name", "user", "used:1", "true")
    done = engine.run("rmi", "used:1")
    assert done.returncode == 1
    assert "is using" in done.stderr
    engine.docker("rm", "user")
    engine.docker("rmi", "used:1")
    assert "No such image" in engine.run("image", "inspect", "used:1").stderr


def test_commit(engine: EngineProcess) -> None:
    engine.docker("run", "--name", "changed", "busybox", "sh", "-c", "echo kept > /made")
    engine.docker("commit", "-c", 'CMD ["cat", "/made"]', "changed", "made:1")
    engine.docker("rm", "changed")
    assert engine.docker("run", "--rm", "made:1") == "kept\n"
    engine.docker("rmi", "made:1")


def test_volumes_of_an_image(engine: EngineProcess) -> None:
    archive = str(engine.folder / "busybox.tar")
    engine.docker("import", "-c", "VOLUME /bin", "-c", "WORKDIR /bin", "-c", "USER 65534", archive, "vols:1")
    engine.docker("run", "--name", "has", "vols:1", "sh", "-c", "pwd; id -u; ls busybox")
    assert engine.docker("logs", "has") == "/bin\n65534\nbusybox\n"
    (mount,) = inspect(engine, "has")["Mounts"]
    assert (mount["Type"], mount["Destination"]) == ("volume", "/bin")
    engine.docker("rm", "-v", "has")
    assert engine.docker("volume", "ls", "-q") == ""
    engine.docker("rmi", "vols:1")
