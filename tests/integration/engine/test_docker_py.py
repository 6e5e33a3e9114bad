"""docker-py, the other widespread client, on the same engine."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest

from support.engineprocess import EngineProcess

pytestmark = pytest.mark.root
docker = pytest.importorskip("docker")


@pytest.fixture
def client(engine: EngineProcess) -> Iterator[Any]:
    made = docker.DockerClient(f"unix://{engine.folder}/docker.sock", version="auto", timeout=20)
    yield made
    made.close()


def test_run_and_its_failures(client: Any) -> None:
    assert client.containers.run("busybox", ["echo", "hi"], remove=True) == b"hi\n"
    with pytest.raises(docker.errors.ContainerError):
        client.containers.run("busybox", ["false"], remove=True)
    with pytest.raises(docker.errors.NotFound):
        client.containers.get("nobody")
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get("nothing:1")
    with pytest.raises(docker.errors.APIError):
        client.containers.run("busybox", ["no-such-program"], remove=True)


def test_a_containers_life(client: Any) -> None:
    container = client.containers.run(
        "busybox", ["sh", "-c", "echo out; echo err >&2; exec sleep 1000"], detach=True, name="py", labels={"k": "v"}
    )
    assert [found.id for found in client.containers.list(filters={"label": "k=v"})] == [container.id]
    code, output = container.exec_run(["sh", "-c", "echo o; echo e >&2; exit 3"], demux=True)
    assert (code, output) == (3, (b"o\n", b"e\n"))
    assert container.logs(stderr=False) == b"out\n"
    assert container.logs(stdout=False) == b"err\n"
    assert container.stats(stream=False)["pids_stats"]["current"] == 1
    assert container.top()["Processes"]
    container.stop(timeout=0)
    assert container.wait()["StatusCode"] == 137
    container.reload()
    assert container.status == "exited"
    container.remove(v=True, force=True)


def test_archives(client: Any) -> None:
    container = client.containers.create("busybox", ["cat", "/tmp/put"])
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        info = tarfile.TarInfo("put")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"here"))
    assert container.put_archive("/tmp", data.getvalue())
    container.start()
    assert container.wait()["StatusCode"] == 0
    assert container.logs() == b"here"
    stream, about = container.get_archive("/tmp/put")
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        member = tar.extractfile("put")
        assert member is not None
        assert member.read() == b"here"
    assert about["name"] == "put"
    assert about["size"] == 4
    container.remove()


def test_ports_and_attach(client: Any) -> None:
    container = client.containers.run("busybox", ["cat"], detach=True, stdin_open=True, ports={"80/tcp": None})
    container.reload()
    assert int(container.ports["80/tcp"][0]["HostPort"]) > 0
    sock = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    raw = getattr(sock, "_sock", sock)
    raw.sendall(b"echoed\n")
    assert raw.recv(100).endswith(b"echoed\n")
    sock.close()
    container.remove(force=True)
