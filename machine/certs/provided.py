"""A CA and a client certificate that the user has already, taken into an empty store (``--tls-ca-cert`` and so on)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pymachine.machine.certs.authority import ca_files, client_files
from pymachine.machine.certs.files import Pair, PairFiles
from pymachine.machine.errors import CertificateError, InvalidOption
from pymachine.store.base import Store

VARIABLES: Mapping[str, str] = {
    "--tls-ca-cert": "MACHINE_TLS_CA_CERT",
    "--tls-ca-key": "MACHINE_TLS_CA_KEY",
    "--tls-client-cert": "MACHINE_TLS_CLIENT_CERT",
    "--tls-client-key": "MACHINE_TLS_CLIENT_KEY",
}
"""The flags, and the environment variables that supply their defaults."""


@dataclass(frozen=True, slots=True)
class Provided:
    """Paths of what the user has; empty for what the store is to make itself."""

    ca_cert: str = ""
    ca_key: str = ""
    client_cert: str = ""
    client_key: str = ""

    @classmethod
    def of(cls, flags: Mapping[str, str | None], environ: Mapping[str, str]) -> Provided:
        """From the flags given, else from the environment."""
        return cls(*((flags.get(flag) or environ.get(variable, "")) for flag, variable in VARIABLES.items()))


def take_in(store: Store, provided: Provided, report: Callable[[str], None]) -> None:
    """Copy what is *provided* into the store; fine when it is there already.

    Raises `InvalidOption` for half a pair, and `CertificateError` for files that do not fit, or for a store that has
    another CA: machines made with that one would be locked out.
    """
    if provided == Provided():
        return
    ca = _load("CA", "--tls-ca", provided.ca_cert, provided.ca_key)
    client = _load("client certificate", "--tls-client", provided.client_cert, provided.client_key)
    directory = store.certs_dir()
    with store.lock():
        if ca:
            _must_be_ca(ca, provided.ca_cert)
            _take_ca(ca, ca_files(directory), report)
        if client:
            _take_client(client, provided.client_cert, directory, report)


def _load(what: str, flags: str, cert: str, key: str) -> Pair | None:
    if not (cert or key):
        return None
    if not (cert and key):
        raise InvalidOption(f"{flags}-cert and {flags}-key go together: one was given without the other")
    pair = PairFiles(what, Path(cert), Path(key)).load()
    if pair is None:
        raise CertificateError(f"there is no {cert}", hint="Leave the flags out to have certificates made.")
    if pair.certificate.public_key() != pair.key.public_key():
        raise CertificateError(f"{key} is not the key of {cert}")
    return pair


def _must_be_ca(ca: Pair, path: str) -> None:
    from cryptography.x509 import BasicConstraints, ExtensionNotFound

    try:
        is_ca = ca.certificate.extensions.get_extension_for_class(BasicConstraints).value.ca
    except ExtensionNotFound:
        is_ca = False
    if not is_ca:
        raise CertificateError(f"{path} is not the certificate of a CA")


def _take_ca(ca: Pair, files: PairFiles, report: Callable[[str], None]) -> None:
    files.recover()
    own = files.load()
    if own is None:
        _save(ca, files)
        report(f"Taking CA: {files.cert}")
    elif own.certificate.public_key() != ca.certificate.public_key():
        raise CertificateError(
            f"the store has another CA already: {files.cert}",
            hint="Use a store of its own for the other CA: --storage-path or MACHINE_STORAGE_PATH.",
        )


def _take_client(client: Pair, path: str, directory: Path, report: Callable[[str], None]) -> None:
    from pymachine.machine.certs.issue import signed_by

    ca, files = ca_files(directory).load(), client_files(directory)
    if ca is None or not signed_by(client.certificate, ca.certificate):
        raise CertificateError(f"{path} was not signed by the store's CA", hint="Give its CA by --tls-ca-cert.")
    files.recover()
    own = files.load()
    if own is None or own.certificate != client.certificate:
        _save(client, files)
        report(f"Taking client certificate: {files.cert}")


def _save(pair: Pair, files: PairFiles) -> None:
    from pymachine.machine.certs.issue import cert_pem, key_pem

    files.save(cert_pem(pair.certificate), key_pem(pair.key))
