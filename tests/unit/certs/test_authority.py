"""CA and client certificate: made once, renewed in time, never half replaced."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from pymachine.machine.certs import issue
from pymachine.machine.certs.authority import bootstrap, ca_files, client_files, weakness
from pymachine.machine.certs.files import Pair
from pymachine.machine.certs.keytype import KeyType
from pymachine.machine.certs.server import issue_server
from pymachine.machine.errors import CertificateError
from pymachine.store.file import FileStore
from support.clock import later
from support.records import record


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store")


def silent(text: str) -> None:
    """Report to nobody."""


def contents(store: FileStore) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.certs_dir().iterdir()}


def pairs(store: FileStore) -> tuple[Pair, Pair]:
    ca, client = ca_files(store.certs_dir()).load(), client_files(store.certs_dir()).load()
    assert ca is not None
    assert client is not None
    return ca, client


def openssl_accepts(store: FileStore, *certificates: Path) -> bool:
    command = ["openssl", "verify", "-x509_strict", "-CAfile", str(store.certs_dir() / "ca.pem")]
    command += [str(certificate) for certificate in certificates]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.parametrize("kind", ["ecdsa", "rsa", "ed25519"])
def test_both_are_made_and_openssl_agrees(store: FileStore, kind: KeyType) -> None:
    said: list[str] = []
    bootstrap(store, said.append, key_type=kind)

    assert [text.split(":")[0] for text in said] == ["Creating CA", "Creating client certificate"]
    assert openssl_accepts(store, store.certs_dir() / "cert.pem")
    modes = {path.name: path.stat().st_mode & 0o777 for path in store.certs_dir().iterdir()}
    assert modes == {"ca.pem": 0o644, "ca-key.pem": 0o600, "cert.pem": 0o644, "key.pem": 0o600}


def test_the_ca_can_sign_and_nothing_below_it_can(store: FileStore) -> None:
    bootstrap(store, silent)
    ca, client = (pair.certificate for pair in pairs(store))

    for certificate, is_ca in ((ca, True), (client, False)):
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
        assert basic.critical
        assert usage.critical
        assert basic.value.ca is is_ca
        assert usage.value.key_cert_sign is is_ca
        assert certificate.serial_number.bit_length() > 64
    purposes = client.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    key_id = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert client.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == key_id


def test_they_live_from_five_minutes_ago_for_ten_and_three_years(store: FileStore) -> None:
    bootstrap(store, silent)
    now = datetime.now(UTC)

    for pair, years in zip(pairs(store), (10, 3), strict=True):
        begin, end = pair.certificate.not_valid_before_utc, pair.certificate.not_valid_after_utc
        assert timedelta(minutes=4) < now - begin < timedelta(minutes=6)
        assert timedelta(days=365 * years - 2) < end - now < timedelta(days=365 * years + 5)


def test_a_second_time_nothing_changes(store: FileStore) -> None:
    bootstrap(store, silent)
    before = contents(store)
    said: list[str] = []
    bootstrap(store, said.append)

    assert said == []
    assert contents(store) == before


@pytest.mark.parametrize("lost", ["ca.pem", "ca-key.pem", "cert.pem", "key.pem"])
def test_half_a_pair_is_an_error_that_names_both_files(store: FileStore, lost: str) -> None:
    bootstrap(store, silent)
    (store.certs_dir() / lost).unlink()
    before = contents(store)

    with pytest.raises(CertificateError, match=f"is incomplete: there is .* but no {lost}") as caught:
        bootstrap(store, silent)
    assert "restore" in caught.value.hint
    assert contents(store) == before


@pytest.mark.parametrize("damaged", ["ca.pem", "ca-key.pem", "cert.pem", "key.pem"])
@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_damaged_file_is_named_and_left(store: FileStore, damaged: str, content: bytes) -> None:
    bootstrap(store, silent)
    (store.certs_dir() / damaged).write_bytes(content)
    before = contents(store)

    with pytest.raises(CertificateError, match=damaged) as caught:
        bootstrap(store, silent)
    assert "\n" not in str(caught.value)
    assert contents(store) == before


def test_a_lost_client_certificate_is_made_anew_under_the_same_ca(store: FileStore) -> None:
    bootstrap(store, silent)
    ca = (store.certs_dir() / "ca.pem").read_bytes()
    (store.certs_dir() / "cert.pem").unlink()
    (store.certs_dir() / "key.pem").unlink()
    bootstrap(store, silent)

    assert (store.certs_dir() / "ca.pem").read_bytes() == ca
    assert openssl_accepts(store, store.certs_dir() / "cert.pem")


@pytest.mark.parametrize("days", [3653 - 29, 3653 + 10])
def test_an_old_ca_is_renewed_and_all_it_signed_stays_good(
    store: FileStore, monkeypatch: pytest.MonkeyPatch, days: float
) -> None:
    bootstrap(store, silent)
    old = ca_files(store.certs_dir()).load()
    assert old is not None
    server = issue_server(store, "web", ["10.0.0.1"], [])
    later(monkeypatch, days)
    said: list[str] = []
    bootstrap(store, said.append)
    new, _ = pairs(store)

    assert said[0].startswith("Renewing CA")
    assert new.certificate != old.certificate
    assert new.certificate.subject == old.certificate.subject
    assert new.certificate.public_key() == old.certificate.public_key()
    assert new.certificate.serial_number != old.certificate.serial_number
    if days < 3653:
        monkeypatch.undo()
        assert issue.signed_by(x509.load_pem_x509_certificate(server.cert.read_bytes()), new.certificate)


@pytest.mark.parametrize(("days", "renewed"), [(1096 - 31, False), (1096 - 29, True), (1096 + 1, True)])
def test_the_client_certificate_is_renewed_a_month_before_its_end(
    store: FileStore, monkeypatch: pytest.MonkeyPatch, days: float, renewed: bool
) -> None:
    bootstrap(store, silent)
    before = contents(store)
    later(monkeypatch, days)
    bootstrap(store, silent)
    after = contents(store)

    assert after["ca.pem"] == before["ca.pem"]
    assert (after["cert.pem"] != before["cert.pem"]) is renewed
    assert (after["key.pem"] != before["key.pem"]) is renewed


def test_a_renewed_client_certificate_reaches_the_machines(store: FileStore) -> None:
    store.create(record())
    store.create(record("other"))
    paths = issue_server(store, "web", ["10.0.0.1"], [])
    bootstrap(store, silent, renew=True)

    assert paths.client_cert.read_bytes() == (store.certs_dir() / "cert.pem").read_bytes()
    assert paths.client_key.read_bytes() == (store.certs_dir() / "key.pem").read_bytes()
    assert paths.client_key.stat().st_mode & 0o777 == 0o600
    assert not (store.machine_dir("other") / "cert.pem").exists()


def test_a_client_certificate_of_another_ca_is_replaced(store: FileStore, tmp_path: Path) -> None:
    other = FileStore(tmp_path / "other")
    bootstrap(store, silent)
    bootstrap(other, silent)
    for name in ("cert.pem", "key.pem"):
        (store.certs_dir() / name).write_bytes((other.certs_dir() / name).read_bytes())
    bootstrap(store, silent)

    ca, client = pairs(store)
    assert weakness(client, ca) == ""


def test_a_ca_with_another_key_is_never_replaced(store: FileStore, tmp_path: Path) -> None:
    other = FileStore(tmp_path / "other")
    bootstrap(store, silent)
    bootstrap(other, silent)
    (store.certs_dir() / "ca-key.pem").write_bytes((other.certs_dir() / "ca-key.pem").read_bytes())
    before = contents(store)

    with pytest.raises(CertificateError, match=r"ca-key\.pem is not the key of"):
        bootstrap(store, silent)
    assert contents(store) == before


def test_a_pkcs1_rsa_ca_of_docker_machine_is_used(store: FileStore) -> None:
    bootstrap(store, silent, key_type="rsa")
    key = store.certs_dir() / "ca-key.pem"
    subprocess.run(["openssl", "rsa", "-traditional", "-in", key, "-out", key], check=True, capture_output=True)
    assert b"BEGIN RSA PRIVATE KEY" in key.read_bytes()

    assert openssl_accepts(store, issue_server(store, "web", ["10.0.0.1"], []).cert)


def test_users_without_a_name_get_certificates_too(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    bootstrap(store, silent)

    assert "O=unknown" in pairs(store)[0].certificate.subject.rfc4514_string()


def test_the_lock_is_not_taken_when_there_is_nothing_to_do(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    bootstrap(store, silent)

    def refuse() -> Callable[[], None]:
        raise AssertionError("locked")

    monkeypatch.setattr(store, "lock", refuse)
    bootstrap(store, silent)
