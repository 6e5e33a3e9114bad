"""Why certificates are renewed: what a cut-off renewal has left is seen by every `env`."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymachine.machine.certs.authority import bootstrap, copy_client
from pymachine.machine.certs.renewal import renewal_reason
from pymachine.machine.certs.server import issue_server
from pymachine.store.file import FileStore

ADDRESS = "192.0.2.1"


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """With the files of a machine ``m``."""
    made = FileStore(tmp_path)
    issue_server(made, "m", [ADDRESS], [])
    return made


def reason(store: FileStore) -> str:
    return renewal_reason(store.certs_dir(), store.machine_dir("m"), ADDRESS, [])


def test_there_is_none_when_all_is_well(store: FileStore) -> None:
    assert reason(store) == ""


@pytest.mark.parametrize("pair", ["certs/.ca.pem", "certs/.cert.pem", "machines/m/.server.pem"])
def test_a_pair_on_its_way_is_one(store: FileStore, pair: str) -> None:
    (store.root / f"{pair}.pending").touch()

    assert reason(store) == "an earlier renewal was cut off"


def test_a_client_certificate_that_is_not_the_stores_is_one(store: FileStore) -> None:
    bootstrap(store, lambda text: None, renew=True)
    assert reason(store) == "an earlier renewal was cut off"

    copy_client(store, store.machine_dir("m"))
    assert reason(store) == ""
