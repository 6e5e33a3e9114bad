"""Certificates seen by a user who may not read them: one clear line each time, never a traceback."""

from __future__ import annotations

import importlib
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pymachine.machine.certs.authority import bootstrap
from pymachine.machine.certs.check import check_engine
from pymachine.machine.certs.server import issue_server, server_certificate_fits
from pymachine.machine.errors import MachineError
from pymachine.store.file import FileStore

pytestmark = pytest.mark.root

NOBODY = 65534


@pytest.fixture
def store() -> Iterator[FileStore]:
    """A store with certificates, and the test is nobody."""
    with tempfile.TemporaryDirectory(prefix="pymachine-certs-") as name:
        Path(name).chmod(0o755)
        made = FileStore(Path(name, "store"))
        issue_server(made, "web", ["10.0.0.1"], [])
        for module in ("encodings.idna", "ssl"):  # they may lie where the other user cannot read
            importlib.import_module(module)
        os.seteuid(NOBODY)
        try:
            yield made
        finally:
            os.seteuid(0)


@pytest.mark.parametrize("closed", ["directory", "files"])
def test_what_may_not_be_read_is_named(store: FileStore, closed: str) -> None:
    directory = store.root / "machines" / "web"
    if closed == "files":
        os.seteuid(0)
        for path in (store.root, store.root / "machines", store.root / "certs", directory):
            path.chmod(0o755)
        for path in [*(store.root / "certs").iterdir(), *directory.iterdir()]:
            path.chmod(0o600)
        os.seteuid(NOBODY)
    engine = socket.create_server(("127.0.0.1", 0))  # files are read once somebody listens
    url = f"tcp://127.0.0.1:{engine.getsockname()[1]}"
    actions: tuple[Callable[[], object], ...] = (
        lambda: bootstrap(store, lambda text: None),
        lambda: server_certificate_fits(directory, ["10.0.0.1"]),
        lambda: check_engine(url, directory, 5),
    )
    for action in actions:
        with pytest.raises(MachineError, match="Permission denied") as caught:
            action()
        assert "\n" not in str(caught.value)
    engine.close()
