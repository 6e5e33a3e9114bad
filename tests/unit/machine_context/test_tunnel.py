"""When an engine's socket cannot be forwarded, it is said why."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.machine.context.opened import version_if_open
from pymachine.machine.context.tunnel import Tunnel
from pymachine.machine.errors import MachineError, MissingRequirement
from pymachine.machine.ssh.base import SSHEndpoint


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("t")


@pytest.fixture
def answer(directory: Path) -> Iterator[list[bytes]]:
    """Somebody listens on the tunnel's socket, and gives the answer put into the list."""
    answers: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "docker.sock"))
        listener.listen()

        def serve() -> None:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(answers[0])

        thread = threading.Thread(target=serve)
        thread.start()
        yield answers
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def http(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def test_an_engine_answers_with_its_version(directory: Path, answer: list[bytes]) -> None:
    answer.append(http(json.dumps({"Version": "1.2.3"}).encode()))

    assert version_if_open(directory) == "1.2.3"


@pytest.mark.parametrize(
    "nonsense", [b"", b"SSH-2.0-x\r\n", http(b"{}"), http(b"[]"), http(b'{"Version": 1}'), http(b"{")]
)
def test_what_is_no_engine_is_none(directory: Path, answer: list[bytes], nonsense: bytes) -> None:
    answer.append(nonsense)

    assert Tunnel(directory).version() == ""


def test_a_socket_that_nobody_serves_any_more(directory: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "docker.sock"))

    assert not Tunnel(directory).answers()
    Tunnel(directory).close()
    assert not (directory / "docker.sock").exists()


def test_a_path_that_is_too_long_for_a_socket(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="too long for a socket by") as caught:
        Tunnel(tmp_path / ("x" * 100)).open(SSHEndpoint("10.0.0.1"))
    assert "--storage-path" in caught.value.hint


def test_without_ssh_the_remedy_is_said(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(directory))
    with pytest.raises(MissingRequirement, match="the program ssh is missing"):
        Tunnel(directory).open(SSHEndpoint("10.0.0.1"))


def test_a_system_without_unix_sockets(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(MachineError, match="need Unix sockets"):
        Tunnel(directory).open(SSHEndpoint("10.0.0.1"))
    Tunnel(directory).close()
