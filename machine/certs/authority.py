"""A store's CA and client certificate: made once, renewed in time, one CA however many processes ask at once.

An old CA is renewed with the same key and name, so that all it has signed stays good. Hosts trust the old edition
until it expires; `pymachine.machine.operations.renew` brings them the new one before that.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pymachine.machine.certs.expiry import SOON
from pymachine.machine.certs.files import Pair, PairFiles
from pymachine.machine.certs.glance import glance
from pymachine.machine.certs.keytype import DEFAULT, KeyType
from pymachine.machine.errors import CertificateError, MachineError
from pymachine.store.atomic import replace_file, storage_errors
from pymachine.store.base import Store


def bootstrap(
    store: Store,
    report: Callable[[str], None],
    *,
    key_type: KeyType = DEFAULT,
    renew: bool = False,
    client_key_type: KeyType | None = None,
) -> None:
    """See to it that the store has a CA and a client certificate good for 30 days at least.

    With *renew* the client certificate is made anew in any case. *key_type* is for what is made for the first time:
    renewal keeps the kind of key, unless *client_key_type* gives the client another. *report* is told what is made.
    Raises `CertificateError` when a file of a pair is missing or damaged.
    """
    directory = store.certs_dir()
    if not renew and _is_settled(directory):
        return
    with store.lock():
        for files in (ca_files(directory), client_files(directory)):
            files.recover()
        ca = _see_to_ca(store, report, key_type)
        _see_to_client(store, ca, report, client_key_type, key_type, renew=renew)


def ca_files(directory: Path) -> PairFiles:
    """The CA in the store's certificate directory."""
    return PairFiles("CA", directory / "ca.pem", directory / "ca-key.pem")


def client_files(directory: Path) -> PairFiles:
    """The client certificate in the store's certificate directory or a machine's."""
    return PairFiles("client certificate", directory / "cert.pem", directory / "key.pem")


def load_ca(store: Store) -> Pair:
    """The CA; raises `CertificateError` when there is none."""
    pair = ca_files(store.certs_dir()).load()
    if pair is None:
        raise CertificateError(f"there is no CA in {store.certs_dir()}")
    return pair


def owner() -> str:
    """Who certificates are made for: the user's name, as docker-machine has it."""
    try:
        return getpass.getuser()[:40]
    except (KeyError, OSError, ImportError):  # a user id without an entry in passwd(5), or no such thing (Windows)
        return "unknown"


def copy_client(store: Store, directory: Path) -> None:
    """Copy CA and client certificate to *directory*, so that it can be ``DOCKER_CERT_PATH``."""
    certs = store.certs_dir()
    with storage_errors("cannot write certificates to", directory):
        for name, mode in (("ca.pem", 0o644), ("key.pem", 0o600), ("cert.pem", 0o644)):
            content = (certs / name).read_bytes()
            target = directory / name
            if not target.exists() or target.read_bytes() != content:
                replace_file(target, content, mode=mode)


def is_foreign(store: Store, machine_name: str) -> bool:
    """Whether a machine trusts another CA than this store's: it was imported, or the store's CA was replaced.

    Its certificates work as they are, for others too; only an explicit wish may change them to this store's CA.
    """
    try:
        own = glance(store.machine_dir(machine_name) / "ca.pem")
        ours = glance(store.certs_dir() / "ca.pem")
    except MachineError:
        return False
    return own is not None and (ours is None or own.public_key != ours.public_key)


def weakness(pair: Pair, ca: Pair | None = None) -> str:
    """Why a pair must be renewed; empty when it need not be."""
    from pymachine.machine.certs.issue import signed_by

    if pair.certificate.public_key() != pair.key.public_key():
        return "its key is another"
    if ca and not signed_by(pair.certificate, ca.certificate):
        return "another CA signed it"
    end, now = pair.certificate.not_valid_after_utc, datetime.now(UTC)
    if end <= now:
        return f"it expired on {end:%Y-%m-%d}"
    return f"it expires on {end:%Y-%m-%d}" if end <= now + SOON else ""


def _is_settled(directory: Path) -> bool:
    """Whether there is nothing to do, found out without the lock."""
    files = ca_files(directory), client_files(directory)
    if any(pair.is_pending() for pair in files):
        return False
    try:
        ca, client = (pair.load() for pair in files)
    except CertificateError:  # perhaps just being made: look again under the lock
        return False
    return bool(ca and client) and not (weakness(ca) or weakness(client, ca))  # type: ignore[arg-type]


def _see_to_ca(store: Store, report: Callable[[str], None], key_type: KeyType) -> Pair:
    from pymachine.machine.certs.issue import cert_pem, key_pem, make_ca, name, new_key

    files = ca_files(store.certs_dir())
    old = files.load()
    if old is None:
        key = new_key(key_type)
        subject = name(owner(), f"pymachine CA {store.id[:8]}")
        report(f"Creating CA: {files.cert}")
    else:
        reason = weakness(old)
        if not reason:
            return old
        if old.certificate.public_key() != old.key.public_key():
            raise CertificateError(
                f"{files.key.name} is not the key of {files.cert}",
                hint="restore the file that was changed, or remove both to have a new CA made",
            )
        key, subject = old.key, old.certificate.subject
        report(f"Renewing CA: {files.cert} ({reason})")
    certificate = make_ca(key, subject)
    files.save(cert_pem(certificate), key_pem(key))
    return Pair(certificate, key)


def _see_to_client(
    store: Store, ca: Pair, report: Callable[[str], None], wanted: KeyType | None, first: KeyType, *, renew: bool
) -> None:
    from pymachine.machine.certs.issue import cert_pem, key_pem, kind_of, make_client, new_key

    files = client_files(store.certs_dir())
    old = files.load()
    if old and not renew and not weakness(old, ca):
        return
    report(f"Creating client certificate: {files.cert}")
    key = new_key(wanted or (kind_of(old.key) if old else first))
    files.save(cert_pem(make_client(ca, key, owner())), key_pem(key))
    if old:
        _refresh_machines(store)


def _refresh_machines(store: Store) -> None:
    """Give machines that have a copy of the client certificate the new one."""
    for machine in store.names():
        directory = store.machine_dir(machine)
        if (directory / "cert.pem").exists() and not is_foreign(store, machine):
            copy_client(store, directory)
