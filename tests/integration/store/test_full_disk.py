"""A full disk and a read-only one: one clear line, and what was stored stays as it was."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pymachine.machine.certs.authority import bootstrap
from pymachine.machine.certs.server import issue_server
from pymachine.machine.errors import MachineError
from pymachine.machine.ssh.keys import ensure_key
from pymachine.store.base import Record
from pymachine.store.file import FileStore
from support.records import record
from support.smalldisk import fill, small_disk

pytestmark = pytest.mark.root


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    with small_disk(tmp_path / "small", "1m") as where:
        yield where


def test_a_full_disk_leaves_the_old_record(small: Path) -> None:
    store = FileStore(small / "store")
    store.create(record())
    store.journal("web").complete("a", x=1)
    fill(small)
    files = sorted(store.root.rglob("*"))

    with pytest.raises(MachineError, match="No space left on device") as caught:
        store.save(record(phase="ready", options={"filler": "x" * 20000}))
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    with pytest.raises(MachineError, match="No space left on device"):
        store.create(record("other"))
    with pytest.raises(MachineError, match="No space left on device"):
        store.journal("web").complete("b", filler="x" * 20000)
    with pytest.raises(MachineError, match="No space left on device"):
        ensure_key(store.root / "machines" / "web" / "id_ed25519")

    assert store.load("web") == record()
    assert store.journal("web").facts() == {"x": 1}
    assert store.names() == ["web"]
    assert [path.name for path in (store.root / "machines").iterdir()] == ["web"]
    left = {path.name for path in store.root.rglob("*") if path.is_file() and path not in files}
    assert left <= {".record.last"}  # a second name of the old record


def test_a_full_disk_does_not_stop_a_removal(small: Path) -> None:
    store = FileStore(small / "store")
    store.create(record())
    with store.lease("web", "create"):
        pass
    fill(small)

    with store.lease("web", "rm"):
        store.delete("web")
    assert store.names() == []
    assert list(store.root.rglob("*.tmp")) == []


def test_a_full_disk_leaves_no_half_certificates(small: Path) -> None:
    store = FileStore(small / "store")
    bootstrap(store, lambda text: None)
    paths = issue_server(store, "web", ["10.0.0.1"], [])
    before = {path: path.read_bytes() for path in paths.ca.parent.iterdir()}
    fill(small)

    with pytest.raises(MachineError, match="No space left on device"):
        issue_server(store, "web", ["10.0.0.2"], [])
    assert {path: path.read_bytes() for path in paths.ca.parent.iterdir()} == before


def test_a_read_only_disk_can_be_read(small: Path) -> None:
    store = FileStore(small / "store")
    store.create(record())
    bootstrap(store, lambda text: None)
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    again = FileStore(store.root)

    assert [item.name for item in again.load_all() if isinstance(item, Record)] == ["web"]
    assert again.id == store.id
    assert os.access(again.certs_dir() / "ca.pem", os.R_OK)
    assert again.machine_dir("web").exists()
    bootstrap(again, lambda text: None)
    actions: tuple[Callable[[], object], ...] = (
        lambda: again.save(record()),
        lambda: again.create(record("other")),
        lambda: again.delete("web"),
        lambda: again.journal("web").begin("a"),
        lambda: again.lease("web", "rm").__enter__(),
    )
    for action in actions:
        with pytest.raises(MachineError, match="Read-only file system") as caught:
            action()
        assert "--storage-path" in caught.value.hint
