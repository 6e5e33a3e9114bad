"""A machine's server certificate, and whether the one there is still fits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pymachine.machine.certs.authority import bootstrap, copy_client, load_ca, owner, weakness
from pymachine.machine.certs.files import Pair, PairFiles, load_certificate
from pymachine.machine.certs.keytype import DEFAULT, KeyType
from pymachine.machine.errors import CertificateError
from pymachine.store.base import Store

ALWAYS = ("localhost", "127.0.0.1")
"""In every server certificate: for tunnels and for clients on the host."""


@dataclass(frozen=True, slots=True)
class TLSPaths:
    """A machine's files: what its engine needs, and the client's copies beside them (``DOCKER_CERT_PATH``)."""

    ca: Path
    cert: Path
    """server.pem"""
    key: Path
    """server-key.pem"""
    client_cert: Path
    client_key: Path

    @classmethod
    def in_directory(cls, directory: Path) -> TLSPaths:
        """docker-machine's names."""
        return cls(
            ca=directory / "ca.pem",
            cert=directory / "server.pem",
            key=directory / "server-key.pem",
            client_cert=directory / "cert.pem",
            client_key=directory / "key.pem",
        )


def issue_server(
    store: Store,
    machine_name: str,
    hosts: list[str],
    extra_sans: list[str],
    *,
    swarm_master: bool = False,
    key_type: KeyType = DEFAULT,
) -> TLSPaths:
    """Make the server certificate of a machine that answers at *hosts* (addresses or names).

    It also names *extra_sans*, localhost and the machine. CA and client certificate are made or renewed first
    when they must be. Raises `CertificateError` for a name that cannot be in a certificate.
    """
    from pymachine.machine.certs.issue import cert_pem, key_pem, make_server, new_key

    bootstrap(store, lambda text: None)
    ca = load_ca(store)
    paths = TLSPaths.in_directory(store.machine_dir(machine_name))
    sans = [*extra_sans, *hosts, *ALWAYS, machine_name]
    key = new_key(key_type)
    certificate = make_server(ca, key, owner(), machine_name, sans, also_client=swarm_master)
    server_files(paths).save(cert_pem(certificate), key_pem(key))
    copy_client(store, paths.ca.parent)
    return paths


def server_certificate_fits(directory: Path, hosts: list[str], *, ca: Path | None = None) -> str:
    """Why the server certificate in *directory* must be renewed to serve *hosts*; empty when it need not be.

    *ca* is the store's own CA certificate, to find out that it was replaced since.
    """
    paths = TLSPaths.in_directory(directory)
    try:
        pair = server_files(paths).load()
        if pair is None:
            return "there is no server certificate"
        trusted = load_certificate(paths.ca)
        if ca and load_certificate(ca) != trusted:
            return "the CA was renewed"
        return weakness(pair, Pair(trusted, pair.key)) or _missing(pair, hosts)
    except CertificateError as error:
        return str(error)


def server_files(paths: TLSPaths) -> PairFiles:
    """The pair in a machine's directory."""
    return PairFiles("server certificate", paths.cert, paths.key)


def _missing(pair: Pair, hosts: list[str]) -> str:
    """Names that the certificate lacks."""
    from cryptography import x509

    from pymachine.machine.certs.issue import general_name

    try:
        extension = pair.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        named = set(extension.value)
    except (x509.ExtensionNotFound, ValueError):
        named = set()
    lacking = [host for host in hosts if general_name(host) not in named]
    return f"it does not name {', '.join(lacking)}" if lacking else ""
