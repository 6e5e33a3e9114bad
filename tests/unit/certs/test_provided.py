"""Certificates that the user has already: taken in once, and never against those a store works with."""

from pathlib import Path

import pytest

from pymachine.machine.certs.authority import bootstrap, ca_files, client_files
from pymachine.machine.certs.provided import Provided, take_in
from pymachine.machine.errors import CertificateError, InvalidOption
from pymachine.store.file import FileStore
from support.certificates import Authority


@pytest.fixture
def mine(tmp_path: Path) -> FileStore:
    """A store whose CA and client certificate will be brought elsewhere."""
    store = FileStore(tmp_path / "mine")
    bootstrap(store, lambda _: None)
    return store


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store")


def provided(store: FileStore, **changes: str) -> Provided:
    certs = store.certs_dir()
    paths = {
        "ca_cert": certs / "ca.pem",
        "ca_key": certs / "ca-key.pem",
        "client_cert": certs / "cert.pem",
        "client_key": certs / "key.pem",
    }
    return Provided(**{name: str(path) for name, path in paths.items()} | changes)


def test_an_empty_store_takes_them_and_keeps_them(mine: FileStore, store: FileStore) -> None:
    said: list[str] = []
    take_in(store, provided(mine), said.append)
    take_in(store, provided(mine), said.append)
    bootstrap(store, said.append)

    assert [line.split(":")[0] for line in said] == ["Taking CA", "Taking client certificate"]
    for name in ("ca.pem", "cert.pem", "key.pem", "ca-key.pem"):
        assert (store.certs_dir() / name).read_bytes() == (mine.certs_dir() / name).read_bytes()
    assert (store.certs_dir() / "ca-key.pem").stat().st_mode & 0o777 == 0o600


def test_another_ca_is_refused_and_the_stores_own_stays(mine: FileStore, store: FileStore) -> None:
    bootstrap(store, lambda _: None)
    before = (store.certs_dir() / "ca.pem").read_bytes()

    with pytest.raises(CertificateError, match="another CA already"):
        take_in(store, provided(mine), lambda _: None)
    assert (store.certs_dir() / "ca.pem").read_bytes() == before


def test_half_a_pair_is_refused(mine: FileStore, store: FileStore) -> None:
    with pytest.raises(InvalidOption, match="--tls-ca-cert and --tls-ca-key go together"):
        take_in(store, provided(mine, ca_key=""), lambda _: None)


def test_a_key_of_another_certificate_is_refused(mine: FileStore, store: FileStore) -> None:
    with pytest.raises(CertificateError, match="is not the key of"):
        take_in(store, provided(mine, ca_key=str(mine.certs_dir() / "key.pem")), lambda _: None)


def test_a_certificate_that_signs_nothing_is_no_ca(mine: FileStore, store: FileStore) -> None:
    certs = mine.certs_dir()
    with pytest.raises(CertificateError, match="is not the certificate of a CA"):
        take_in(store, Provided(str(certs / "cert.pem"), str(certs / "key.pem")), lambda _: None)


def test_a_client_certificate_of_somebody_else_is_refused(mine: FileStore, store: FileStore, tmp_path: Path) -> None:
    cert, key = Authority.make(tmp_path / "other").issue("client")
    with pytest.raises(CertificateError, match="was not signed by the store's CA"):
        take_in(store, provided(mine, client_cert=str(cert), client_key=str(key)), lambda _: None)
    assert client_files(store.certs_dir()).load() is None


def test_files_that_are_not_there(store: FileStore) -> None:
    with pytest.raises(CertificateError, match="there is no /nowhere/ca.pem"):
        take_in(store, Provided("/nowhere/ca.pem", "/nowhere/key.pem"), lambda _: None)
    assert ca_files(store.certs_dir()).load() is None


def test_flags_win_over_the_environment() -> None:
    found = Provided.of(
        {"--tls-ca-cert": "flag", "--tls-ca-key": None},
        {"MACHINE_TLS_CA_CERT": "environment", "MACHINE_TLS_CA_KEY": "environment"},
    )
    assert (found.ca_cert, found.ca_key, found.client_cert) == ("flag", "environment", "")
