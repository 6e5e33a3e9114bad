"""Certificates read at a glance say what cryptography says of them, and damage is never a surprise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pymachine.machine.certs import issue
from pymachine.machine.certs.authority import bootstrap
from pymachine.machine.certs.expiry import expiry, unnamed, warning
from pymachine.machine.certs.glance import glance
from pymachine.machine.certs.keytype import KeyType
from pymachine.machine.certs.server import issue_server
from pymachine.machine.errors import CertificateError, MachineError
from pymachine.store.file import FileStore


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store")


def silent(text: str) -> None:
    """Report to nobody."""


@pytest.mark.parametrize("kind", ["ecdsa", "rsa", "ed25519"])
def test_every_kind_of_certificate_is_read(store: FileStore, kind: KeyType) -> None:
    bootstrap(store, silent, key_type=kind)
    directory = issue_server(store, "Web", ["10.0.0.1", "fd00::1"], ["*.X.org", "fe80::1%eth0"]).ca.parent

    for path in (store.certs_dir() / "ca.pem", directory / "cert.pem", directory / "server.pem"):
        true, seen = x509.load_pem_x509_certificate(path.read_bytes()), glance(path)
        assert seen is not None
        assert seen.end == true.not_valid_after_utc
        spki = true.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert spki.endswith(seen.public_key)
        assert len(spki) - len(seen.public_key) <= 4
    assert glance(directory / "server.pem").names == {  # type: ignore[union-attr]
        "*.x.org", "web", "localhost", "127.0.0.1", "10.0.0.1", "fd00::1", "fe80::1",
    }  # fmt: skip
    assert glance(directory / "cert.pem").names == frozenset()  # type: ignore[union-attr]


def test_years_after_2049_have_four_digits(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issue, "CA_LIFE", timedelta(days=36500))
    bootstrap(store, silent)
    seen = glance(store.certs_dir() / "ca.pem")

    assert seen is not None
    assert abs(seen.end - datetime.now(UTC) - timedelta(days=36500)) < timedelta(days=1)


def test_every_way_of_damage_is_one_error(store: FileStore) -> None:
    bootstrap(store, silent)
    path = store.certs_dir() / "ca.pem"
    whole = path.read_bytes()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CertificateError, match="is not a certificate"):
            glance(path)
    for content in (b"\xff" * 100, b"-----BEGIN CERTIFICATE-----\nMIIB/w==\n-----END CERTIFICATE-----\n"):
        path.write_bytes(content)
        with pytest.raises(CertificateError, match="is not a certificate"):
            glance(path)


def test_turned_bits_are_no_defect(store: FileStore) -> None:
    """Whatever a byte is turned into, the answer is a glance or a `CertificateError`."""
    bootstrap(store, silent)
    path = store.certs_dir() / "ca.pem"
    whole = path.read_bytes()
    for at in range(28, len(whole) - 26):
        path.write_bytes(whole[:at] + b"/" + whole[at + 1 :])
        try:
            glance(path)
        except CertificateError:
            pass


def test_what_is_not_there_is_none_and_what_cannot_be_read_an_error(tmp_path: Path) -> None:
    assert glance(tmp_path / "none.pem") is None
    (tmp_path / "dir.pem").mkdir()
    with pytest.raises(MachineError, match="cannot read"):
        glance(tmp_path / "dir.pem")


def test_the_first_to_expire_is_named(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issue, "LEAF_LIFE", timedelta(days=40))
    directory = issue_server(store, "web", ["10.0.0.1"], []).ca.parent
    first = expiry(directory)
    assert first is not None
    now = datetime.now(UTC)

    assert first.what in ("server certificate", "client certificate")
    assert warning(directory, "10.0.0.1") == ""
    assert not first.due(now)
    assert first.due(now + timedelta(days=11))
    assert warning(directory, now=now + timedelta(days=11)) == f"the {first.what} expires on {first.at:%Y-%m-%d}"
    assert warning(directory, now=now + timedelta(days=41)) == f"the {first.what} expired on {first.at:%Y-%m-%d}"


def test_a_changed_address_is_noticed(store: FileStore) -> None:
    directory = issue_server(store, "web", ["10.0.0.1", "fd00::1"], []).ca.parent

    assert [unnamed(directory, host) for host in ("10.0.0.1", "fd00:0::1", "WEB", "10.0.0.2", "")] == [
        False, False, False, True, False,
    ]  # fmt: skip
    assert "does not name 10.0.0.2" in warning(directory, "10.0.0.2")


def test_no_certificates_and_damaged_ones_warn_of_nothing(tmp_path: Path) -> None:
    assert expiry(tmp_path) is None
    assert warning(tmp_path, "10.0.0.1") == ""
    (tmp_path / "server.pem").write_text("nonsense")
    assert warning(tmp_path, "10.0.0.1") == ""
