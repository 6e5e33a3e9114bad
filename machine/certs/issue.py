"""Make X.509 certificates (RFC 5280) for mutual TLS between Docker clients and engines.

ECDSA on P-256 unless another kind of key is asked for: every Docker client can use it, and a key is made in less
than a millisecond (RSA 2048: 50 ms and more). A CA lives ten years, what it signs three; all begin five minutes in
the past, for hosts whose clocks are late.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pymachine.machine.certs.files import Pair
from pymachine.machine.certs.keytype import KeyType
from pymachine.machine.errors import CertificateError

PrivateKey = EllipticCurvePrivateKey | RSAPrivateKey | Ed25519PrivateKey
KEY_CLASSES = (EllipticCurvePrivateKey, RSAPrivateKey, Ed25519PrivateKey)

CA_LIFE = timedelta(days=3653)
LEAF_LIFE = timedelta(days=1096)
CLOCK_SKEW = timedelta(minutes=5)
_LONGEST = 64
"""Characters in a name's part (RFC 5280, appendix A.1)."""


def new_key(kind: KeyType) -> PrivateKey:
    """A fresh private key."""
    if kind == "rsa":
        return generate_rsa(65537, 2048)
    return Ed25519PrivateKey.generate() if kind == "ed25519" else generate_ec(SECP256R1())


def kind_of(key: PrivateKey) -> KeyType:
    """What *key* is."""
    if isinstance(key, RSAPrivateKey):
        return "rsa"
    return "ed25519" if isinstance(key, Ed25519PrivateKey) else "ecdsa"


def key_pem(key: PrivateKey) -> bytes:
    """PKCS #8, which Go, OpenSSL and Java read alike."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def cert_pem(certificate: x509.Certificate) -> bytes:
    """As every TLS library reads it."""
    return certificate.public_bytes(Encoding.PEM)


def make_ca(key: PrivateKey, subject: x509.Name) -> x509.Certificate:
    """A self-signed CA. Made again with the same key and subject it is the same CA to all it has signed."""
    usage = _usage(digital_signature=True, key_cert_sign=True, crl_sign=True)
    builder = (
        _builder(subject, subject, key, _now() + CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    return _sign(builder, key)


def make_client(ca: Pair, key: PrivateKey, owner: str) -> x509.Certificate:
    """A certificate for Docker clients."""
    subject = name(f"{owner}.<bootstrap>", "pymachine client")
    return _leaf(ca, key, subject, [ExtendedKeyUsageOID.CLIENT_AUTH])


def make_server(
    ca: Pair, key: PrivateKey, owner: str, machine: str, sans: Iterable[str], *, also_client: bool
) -> x509.Certificate:
    """A certificate for a machine's engine; *also_client* for a swarm manager, which calls the engines with it."""
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH] + [ExtendedKeyUsageOID.CLIENT_AUTH] * also_client
    return _leaf(ca, key, name(f"{owner}.{machine}", machine), purposes, alternative_names(sans))


def alternative_names(values: Iterable[str]) -> x509.SubjectAlternativeName:
    """Addresses and DNS names, each once, in order; raises `CertificateError` for what is neither."""
    return x509.SubjectAlternativeName([general_name(value) for value in dict.fromkeys(values)])


def general_name(value: str) -> x509.GeneralName:
    """One address (a zone like ``%eth0`` is dropped: it means something on one computer only) or DNS name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(value.split("%", 1)[0]))
    except ValueError:
        pass
    labels = value.removeprefix("*.").removesuffix(".").split(".")
    if len(value) > 253 or not all(_is_label(label) for label in labels):
        raise CertificateError(f"{value!r} cannot be in a certificate: it is neither an address nor a host name")
    return x509.DNSName(value)


def name(organization: str, common: str) -> x509.Name:
    """A subject; parts that are too long are cut (nobody reads them: the alternative names count)."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization[:_LONGEST]),
            x509.NameAttribute(NameOID.COMMON_NAME, common[:_LONGEST]),
        ]
    )


def signed_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    """Whether *ca* (or one of the same name and key) signed *certificate*."""
    from cryptography.exceptions import InvalidSignature

    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_label(label: str) -> bool:
    return 0 < len(label) <= 63 and label.isascii() and all(c.isalnum() or c in "-_" for c in label)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _builder(subject: x509.Name, issuer: x509.Name, key: PrivateKey, end: datetime) -> x509.CertificateBuilder:
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - CLOCK_SKEW)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _leaf(
    ca: Pair,
    key: PrivateKey,
    subject: x509.Name,
    purposes: list[x509.ObjectIdentifier],
    sans: x509.SubjectAlternativeName | None = None,
) -> x509.Certificate:
    end = min(_now() + LEAF_LIFE, ca.certificate.not_valid_after_utc)
    rsa = isinstance(key, RSAPrivateKey)
    # The issuer by its key alone: name and serial number would tie us to one edition of the CA's certificate.
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key())
    builder = (
        _builder(subject, ca.certificate.subject, key, end)
        .add_extension(issuer, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True, key_encipherment=rsa), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    )
    if sans:
        builder = builder.add_extension(sans, critical=False)
    return _sign(builder, ca.key)


def _sign(builder: x509.CertificateBuilder, key: PrivateKey) -> x509.Certificate:
    return builder.sign(key, None if isinstance(key, Ed25519PrivateKey) else SHA256())


def _usage(
    *, digital_signature: bool, key_encipherment: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
