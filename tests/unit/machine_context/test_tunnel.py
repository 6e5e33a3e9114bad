"""When an engine's socket cannot be forwarded, it is said why."""

import json
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.machine.context.opened import version_if_open
from pymachine.machine.context.place import excess, short_place
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


@pytest.fixture
def distant(tmp_path: Path) -> Path:
    """A machine's directory whose path no socket may have."""
    (directory := tmp_path / ("x" * 100)).mkdir()
    return directory


@pytest.fixture
def runtime(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    return directory


def test_where_the_path_is_too_long_a_failure_leaves_nothing(
    distant: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(runtime))
    with pytest.raises(MissingRequirement, match="the program ssh is missing"):
        Tunnel(distant).open(SSHEndpoint("10.0.0.1"))
    assert (list(distant.iterdir()), list(runtime.iterdir())) == ([], [])


def test_the_short_place_is_private_and_goes_with_the_tunnel(distant: Path, runtime: Path) -> None:
    place = short_place(distant)
    assert (place.parent, place.stat().st_mode & 0o777, excess(place)) == (runtime, 0o700, 0)
    (distant / "docker.sock").symlink_to(place / "docker.sock")
    assert Tunnel(distant).url == f"unix://{place}/docker.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / "docker.sock"))
    (place / "ssh.ctl").touch()  # of an ssh that was killed

    Tunnel(distant).close()
    Tunnel(distant).close()
    assert (list(distant.iterdir()), list(runtime.iterdir())) == ([], [])


def test_a_short_place_that_others_may_enter_or_have_put_there_is_refused(distant: Path, runtime: Path) -> None:
    place = short_place(distant)
    place.chmod(0o755)
    with pytest.raises(MachineError, match="is not this user's alone") as caught:
        short_place(distant)
    assert "TMPDIR" in caught.value.hint
    place.rmdir()
    place.symlink_to(distant)
    with pytest.raises(MachineError, match=r"cannot make|is not this user's alone"):
        short_place(distant)


def test_without_a_runtime_directory_it_is_with_temporary_files(
    distant: Path, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with the variable of a user who has gone; where those are too far away as well, that is said."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "gone"))
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    assert short_place(distant).parent == directory
    monkeypatch.setattr(tempfile, "tempdir", str(distant))
    with pytest.raises(MachineError, match="too long for a socket by") as caught:
        Tunnel(distant).open(SSHEndpoint("10.0.0.1"))
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
