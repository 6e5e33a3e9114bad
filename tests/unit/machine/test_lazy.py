"""What common commands import: heavy libraries would be felt in every prompt and script."""

import subprocess
import sys
from pathlib import Path

import pytest

from pymachine.store.file import FileStore
from support.program import environment
from support.records import record

HEAVY = ("asyncio", "boto3", "botocore", "cryptography", "jinja2", "libvirt", "paramiko", "importlib.metadata")

PROBE = f"""
import sys
from pymachine.machine.cli.app import run
code = run(sys.argv[1:])
print(*sorted(name for name in {HEAVY!r} if name in sys.modules), code, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FileStore:
    """Machines of our own drivers, none of which answers."""
    store = FileStore(tmp_path_factory.mktemp("lazy") / "store")
    address = {"address": "127.0.0.1"}
    store.create(record("none", options={"url": "tcp://127.0.0.1:1"}, phase="ready"))
    store.create(record("local", driver="local", options={}, resources=address, phase="ready"))
    generic = {"ip_address": "127.0.0.1", "ssh_port": 1}
    store.create(record("generic", driver="generic", options=generic, resources=address, phase="ready"))
    return store


@pytest.mark.parametrize(
    "args",
    [
        "--help",
        "ls",
        "ls -q",
        "ls --format {{.Name}}",
        "status none",
        "status local",
        "status generic",
        "status absent",
        "url none",
        "ip none",
        "env none",
        "env -u",
        "config none",
        "inspect -f {{.Driver.URL}} none",
        "active",
        "version",
    ],
)
def test_nothing_heavy_is_imported(args: str, store: FileStore, tmp_path: Path) -> None:
    changes = {"PYMACHINE_LOCAL_ROOT": str(tmp_path), "DOCKER_HOST": "tcp://127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, "-s", str(store.root), *args.split()],
        capture_output=True,
        text=True,
        env=environment(changes),
        timeout=60,
    )

    assert done.stderr.splitlines()[-1] in ("0", "1"), done.stderr


def test_help_of_create_imports_no_library_of_a_driver(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, "-s", str(tmp_path / "store"), "create", "--help"],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
    )

    assert done.stderr.splitlines()[-1].removeprefix("importlib.metadata ") == "0"
