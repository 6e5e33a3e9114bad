"""Throwaway certificates: a CA, a server's and a client's, as PEM files."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pymachine.machine.certs.authority import ca_files, client_files, weakness


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that signs certificates into a folder."""

    folder: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, folder: Path, name: str = "Test CA") -> Authority:
        """A new CA; its certificate is ``folder/ca.pem``."""
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, key, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        certificate = builder.add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256())
        (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return cls(folder, certificate, key)

    @property
    def ca(self) -> Path:
        """The CA's certificate."""
        return self.folder / "ca.pem"

    def issue(self, name: str, *hosts: str) -> tuple[Path, Path]:
        """A certificate and its key; with *hosts* (names or addresses) a server's, without a client's."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = _builder(name, key, self.certificate.subject).add_extension(x509.ExtendedKeyUsage([usage]), False)
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), False)
        certificate = builder.sign(self.key, hashes.SHA256())
        paths = self.folder / f"{name}.pem", self.folder / f"{name}-key.pem"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].touch(0o600)
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return paths


def _builder(name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def check_store(store: Path, *machines: str) -> None:
    """A store has one good CA and client certificate and nothing beside them, and its machines' copies are these."""
    certs = store / "certs"
    ca, client = ca_files(certs).load(), client_files(certs).load()
    assert ca is not None
    assert client is not None
    assert (weakness(ca), weakness(client, ca)) == ("", "")
    assert sorted(path.name for path in certs.iterdir()) == ["ca-key.pem", "ca.pem", "cert.pem", "key.pem"]
    for file in ("ca.pem", "cert.pem", "key.pem"):
        wanted = (certs / file).read_bytes()
        assert [name for name in machines if (store / "machines" / name / file).read_bytes() != wanted] == []
