"""Server certificates: whom they name, and when they no longer fit."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from pymachine.machine.certs import authority
from pymachine.machine.certs.authority import bootstrap
from pymachine.machine.certs.server import TLSPaths, issue_server, server_certificate_fits
from pymachine.machine.errors import CertificateError
from pymachine.store.file import FileStore


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store")


def certificate(paths: TLSPaths) -> x509.Certificate:
    return x509.load_pem_x509_certificate(paths.cert.read_bytes())


def names(paths: TLSPaths) -> tuple[list[str], list[str]]:
    value = certificate(paths).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return value.get_values_for_type(x509.DNSName), [str(ip) for ip in value.get_values_for_type(x509.IPAddress)]


def test_the_directory_is_what_docker_and_the_engine_want(store: FileStore) -> None:
    paths = issue_server(store, "web", ["10.0.0.1"], [])

    modes = {path.name: path.stat().st_mode & 0o777 for path in store.machine_dir("web").iterdir()}
    assert modes == {
        "ca.pem": 0o644,
        "cert.pem": 0o644,
        "key.pem": 0o600,
        "server.pem": 0o644,
        "server-key.pem": 0o600,
    }
    assert paths.ca.read_bytes() == (store.certs_dir() / "ca.pem").read_bytes()
    assert paths.key.read_bytes() != paths.client_key.read_bytes()


def test_it_names_everything_once(store: FileStore) -> None:
    paths = issue_server(
        store, "web", ["10.0.0.1", "fd00::1", "h.example.org"], ["10.0.0.1", "*.x.org", "fe80::1%eth0"]
    )

    assert names(paths) == (
        ["*.x.org", "h.example.org", "localhost", "web"],
        ["10.0.0.1", "fe80::1", "fd00::1", "127.0.0.1"],
    )


@pytest.mark.parametrize(
    "san", ["", "a b", "ü.org", "a..b", "-".join("x" * 70), "10.0.0.1:2376", "a,b", "x" * 64, "\n"]
)
def test_what_cannot_be_named_is_refused_before_anything_is_written(store: FileStore, san: str) -> None:
    with pytest.raises(CertificateError, match="cannot be in a certificate"):
        issue_server(store, "web", ["10.0.0.1"], [san])
    assert list(store.machine_dir("web").iterdir()) == []


def test_a_swarm_master_is_a_client_too(store: FileStore) -> None:
    plain = certificate(issue_server(store, "a", ["10.0.0.1"], []))
    master = certificate(issue_server(store, "b", ["10.0.0.1"], [], swarm_master=True))

    def purposes(of: x509.Certificate) -> list[x509.ObjectIdentifier]:
        return list(of.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)

    assert purposes(plain) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert purposes(master) == [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]


def test_long_machine_names_fit(store: FileStore) -> None:
    issue_server(store, "m" * 63, ["10.0.0.1"], [])
    issue_server(store, ".".join(["m" * 60] * 3), ["10.0.0.1"], [])


def test_a_fresh_one_fits_its_addresses_and_no_others(store: FileStore) -> None:
    directory = issue_server(store, "web", ["10.0.0.1", "fd00::1"], ["h"]).ca.parent

    assert server_certificate_fits(directory, ["10.0.0.1"]) == ""
    assert server_certificate_fits(directory, ["fd00:0::0:1", "h", "web"]) == ""
    assert server_certificate_fits(directory, ["10.0.0.1", "10.0.0.2"]) == "it does not name 10.0.0.2"


def test_none_at_all_does_not_fit(tmp_path: Path) -> None:
    assert server_certificate_fits(tmp_path / "none", ["h"]) == "there is no server certificate"


@pytest.mark.parametrize(("days", "reason"), [(1065, ""), (1067, "it expires on"), (1097, "it expired on")])
def test_an_old_one_does_not_fit(store: FileStore, monkeypatch: pytest.MonkeyPatch, days: int, reason: str) -> None:
    directory = issue_server(store, "web", ["h"], []).ca.parent

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + timedelta(days=days)

    monkeypatch.setattr(authority, "datetime", Clock)
    found = server_certificate_fits(directory, ["h"])
    assert found.startswith(reason) if reason else found == ""


def test_one_of_another_ca_does_not_fit(store: FileStore, tmp_path: Path) -> None:
    other = FileStore(tmp_path / "other")
    bootstrap(other, lambda text: None)
    paths = issue_server(store, "web", ["h"], [])

    assert server_certificate_fits(paths.ca.parent, ["h"], ca=store.certs_dir() / "ca.pem") == ""
    assert server_certificate_fits(paths.ca.parent, ["h"], ca=other.certs_dir() / "ca.pem") == "the CA was renewed"
    paths.ca.write_bytes((other.certs_dir() / "ca.pem").read_bytes())
    assert server_certificate_fits(paths.ca.parent, ["h"]) == "another CA signed it"


@pytest.mark.parametrize("name", ["server.pem", "server-key.pem", "ca.pem"])
@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_damaged_or_missing_files_are_reasons_to_renew(store: FileStore, name: str, content: bytes | None) -> None:
    directory = issue_server(store, "web", ["h"], []).ca.parent
    if content is None:
        (directory / name).unlink()
    else:
        (directory / name).write_bytes(content)

    assert name in server_certificate_fits(directory, ["h"])


def test_a_key_of_another_certificate_does_not_fit(store: FileStore) -> None:
    first = issue_server(store, "a", ["h"], [])
    second = issue_server(store, "b", ["h"], [])
    first.key.write_bytes(second.key.read_bytes())

    assert server_certificate_fits(first.ca.parent, ["h"]) == "its key is another"


def test_issuing_again_mends_everything(store: FileStore) -> None:
    directory = issue_server(store, "web", ["10.0.0.1"], []).ca.parent
    for path in directory.iterdir():
        path.write_text("damaged")
    issue_server(store, "web", [str(ipaddress.ip_address("10.0.0.2"))], [])

    assert server_certificate_fits(directory, ["10.0.0.2"], ca=store.certs_dir() / "ca.pem") == ""
