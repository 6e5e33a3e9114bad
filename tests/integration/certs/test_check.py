"""The check of an engine over mutual TLS: what it says in every case, and that it never hangs."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pymachine.machine.certs.authority import bootstrap
from pymachine.machine.certs.check import EngineVersion, check_engine
from pymachine.machine.certs.keytype import KeyType
from pymachine.machine.certs.server import issue_server
from pymachine.machine.errors import CertificateError, MachineError
from pymachine.store.file import FileStore
from support.tls_engine import VERSION, raw_server, server_context, tls_engine

RENEW = 'Run "pymachine regenerate-certs web".'


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store")


@pytest.fixture
def certs(store: FileStore) -> Path:
    return issue_server(store, "web", ["127.0.0.1"], []).ca.parent


def failure(url: str, certs: Path, *, timeout: float = 10) -> MachineError:
    with pytest.raises(MachineError) as caught:
        check_engine(url, certs, timeout)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("kind", ["ecdsa", "rsa", "ed25519"])
def test_an_engine_that_fits_tells_its_version(store: FileStore, kind: KeyType) -> None:
    bootstrap(store, lambda text: None, key_type=kind)
    certs = issue_server(store, "web", ["127.0.0.1"], []).ca.parent
    with tls_engine(certs) as url:
        assert check_engine(url, certs, 10) == EngineVersion("1.2.3", "1.47", "1.24", "linux", "amd64")


def test_the_real_docker_client_accepts_the_certificates(certs: Path) -> None:
    docker = shutil.which("docker")
    if not docker:
        pytest.skip("no docker client here")
    with tls_engine(certs) as url:
        environment = os.environ | {"DOCKER_HOST": url, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(certs)}
        command = [docker, "version", "--format", "{{.Server.Version}}"]
        shown = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert shown.stdout.strip() == "1.2.3", shown.stderr


def test_a_server_of_another_ca_is_not_trusted(certs: Path, tmp_path: Path) -> None:
    other = issue_server(FileStore(tmp_path / "other"), "web", ["127.0.0.1"], []).ca.parent
    with tls_engine(other) as url:
        error = failure(url, certs)

    assert isinstance(error, CertificateError)
    assert "shows a certificate that cannot be trusted" in str(error)
    assert error.hint == RENEW


def test_a_server_that_does_not_name_the_address_is_not_trusted(certs: Path) -> None:
    with tls_engine(certs, address="127.0.0.2") as url:
        error = failure(url, certs)

    assert isinstance(error, CertificateError)
    assert "IP address mismatch" in str(error)
    assert error.hint == RENEW


def test_a_client_of_another_ca_is_told_that_it_is_refused(certs: Path, store: FileStore, tmp_path: Path) -> None:
    other = issue_server(FileStore(tmp_path / "other"), "web", ["127.0.0.1"], []).ca.parent
    mixed = tmp_path / "web"
    shutil.copytree(other, mixed)
    shutil.copy(certs / "ca.pem", mixed / "ca.pem")
    with tls_engine(certs) as url:
        error = failure(url, mixed)

    assert isinstance(error, CertificateError)
    assert "refuses the client certificate: " in str(error)
    assert error.hint == RENEW


@pytest.mark.parametrize("name", ["ca.pem", "cert.pem", "key.pem"])
@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_missing_and_damaged_files_are_certificate_errors(certs: Path, name: str, content: bytes | None) -> None:
    if content is None:
        (certs / name).unlink()
    else:
        (certs / name).write_bytes(content)
    with raw_server(hold) as url:
        error = failure(url, certs)

    assert isinstance(error, CertificateError)
    assert "regenerate-certs" in error.hint


def test_a_client_key_of_another_certificate_is_named(certs: Path) -> None:
    shutil.copy(certs / "server-key.pem", certs / "key.pem")

    with raw_server(hold) as url:
        assert "the key is another" in str(failure(url, certs))


def test_nobody_there_is_no_certificate_problem(certs: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = failure(f"tcp://127.0.0.1:{port}", certs)

    assert not isinstance(error, CertificateError)
    assert str(error) == f"the engine at 127.0.0.1:{port} cannot be reached: Connection refused"
    assert error.hint == ""


def hold(connection: socket.socket) -> None:
    """Say nothing."""


def close(connection: socket.socket) -> None:
    connection.close()


def speak_http(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize(
    ("serve", "says"),
    [(hold, "does not answer within 0.5 s"), (close, "(reached|handshake)"), (speak_http, "does not speak TLS")],
)
def test_strange_servers_are_described(certs: Path, serve: Callable[[socket.socket], None], says: str) -> None:
    with raw_server(serve) as url:
        error = failure(url, certs, timeout=0.5)

    assert not isinstance(error, CertificateError)
    assert re.search(says, str(error)), error


def test_an_answer_in_drops_does_not_outlast_the_deadline(certs: Path) -> None:
    context = server_context(certs)

    def drip(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(1000)
            for letter in b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 1000:
                tls.sendall(bytes([letter]))
                time.sleep(0.02)

    began = time.monotonic()
    with raw_server(drip) as url:
        error = failure(url, certs, timeout=0.5)
        took = time.monotonic() - began

    assert "does not answer within" in str(error)
    assert took < 5


def test_an_endless_answer_is_cut_off(certs: Path) -> None:
    with tls_engine(certs, document=b"x" * (3 << 20)) as url:
        assert "more than a version" in str(failure(url, certs))


@pytest.mark.parametrize(
    ("status", "document", "says"),
    [
        (500, {"message": "no\nluck \x1b[31m"}, "answers HTTP 500: no luck [31m"),
        (404, b"<html>", "answers HTTP 404"),
        (200, b"<html>", "is no container engine"),
        (200, [], "is no container engine"),
        (200, {"Version": 5}, "is no container engine"),
    ],
)
def test_answers_that_are_no_version_are_described(certs: Path, status: int, document: object, says: str) -> None:
    with tls_engine(certs, status=status, document=document) as url:
        error = failure(url, certs)

    assert str(error).endswith(says) or says in str(error)
    assert not isinstance(error, CertificateError)


def test_a_terse_engine_is_enough(certs: Path) -> None:
    with tls_engine(certs, document={"Version": VERSION["Version"]}) as url:
        assert check_engine(url, certs, 10).version == "1.2.3"


@pytest.mark.parametrize("url", ["", "tcp://", "unix:///x", "10.0.0.1:2376", "tcp://h:99999999", "tcp://[::1"])
def test_addresses_that_are_none_are_refused(certs: Path, url: str) -> None:
    assert "is no engine address" in str(failure(url, certs))


def test_a_name_that_does_not_exist_is_named(certs: Path) -> None:
    assert "the engine at no-such-host.invalid:2376 cannot be found" in str(
        failure("tcp://no-such-host.invalid", certs)
    )
