"""TLS in memory: two sessions that talk through variables."""

import ssl
from pathlib import Path

import pytest

from pymachine.dockerapi.tls import CertificateError, TLSFiles, client_context, server_context
from pymachine.dockerapi.tls_session import TLSSession
from support.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority.make(tmp_path_factory.mktemp("pki"))
    made.issue("server", "localhost")
    made.issue("client")
    return made


def _pair(authority: Authority, *, client: bool = True) -> tuple[TLSSession, TLSSession]:
    folder = authority.folder
    serving = server_context(TLSFiles(authority.ca, folder / "server.pem", folder / "server-key.pem"))
    mine = (
        TLSFiles(authority.ca, folder / "client.pem", folder / "client-key.pem") if client else TLSFiles(authority.ca)
    )
    calling = client_context(mine)
    return (
        TLSSession(serving, server_side=True),
        TLSSession(calling, server_side=False, server_hostname="localhost"),
    )


def _shake_hands(server: TLSSession, client: TLSSession) -> None:
    client.begin()
    for _ in range(3):
        server.feed(client.outgoing())
        client.feed(server.outgoing())


def _established(authority: Authority) -> tuple[TLSSession, TLSSession]:
    server, client = _pair(authority)
    _shake_hands(server, client)
    assert server.established
    assert client.established
    return server, client


def test_bytes_come_out_as_they_went_in(authority: Authority) -> None:
    server, client = _established(authority)
    data = bytes(range(256)) * 1000
    assert server.feed(client.encrypt(data)) == data
    assert client.feed(server.encrypt(b"answer")) == b"answer"


def test_each_direction_closes_on_its_own(authority: Authority) -> None:
    server, client = _established(authority)
    assert server.feed(client.encrypt(b"last") + client.close()) == b"last"
    assert server.peer_closed
    assert not client.peer_closed
    assert client.feed(server.encrypt(b"still here")) == b"still here"
    client.feed(server.close())
    assert client.peer_closed


def test_a_client_without_a_certificate_is_refused(authority: Authority) -> None:
    server, client = _pair(authority, client=False)
    with pytest.raises(ssl.SSLError):
        _shake_hands(server, client)
    assert not server.established


def test_ciphertext_in_single_bytes_is_enough(authority: Authority) -> None:
    server, client = _established(authority)
    received = b"".join(server.feed(bytes([byte])) for byte in client.encrypt(b"slowly"))
    assert received == b"slowly"


def test_rubbish_is_an_error(authority: Authority) -> None:
    server, _ = _pair(authority)
    with pytest.raises(ssl.SSLError):
        server.feed(b"GET / HTTP/1.1\r\n\r\n")


def test_files_that_cannot_be_used_are_named(authority: Authority, tmp_path: Path) -> None:
    folder = authority.folder
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("rubbish")
    certificate, key, other = folder / "server.pem", folder / "server-key.pem", folder / "client-key.pem"
    with pytest.raises(CertificateError, match=r"none\.pem: No such file"):
        server_context(TLSFiles(authority.ca, tmp_path / "none.pem", key))
    with pytest.raises(CertificateError, match="does not belong to the key"):
        server_context(TLSFiles(authority.ca, certificate, other))
    with pytest.raises(CertificateError, match=r"rubbish\.pem"):
        server_context(TLSFiles(rubbish, certificate, key))
    with pytest.raises(CertificateError, match=r"rubbish\.pem"):
        server_context(TLSFiles(authority.ca, rubbish, key))
