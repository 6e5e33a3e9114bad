"""Copies between two real SSH servers with different ports, keys and host keys, by the real scp and rsync."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.machine.operations.copy import rsync_line, scp_line
from pymachine.machine.operations.places import Place
from pymachine.machine.ssh.configfile import config_text
from support.sshd import SSHServer, new_host_key, ssh_server

pytestmark = pytest.mark.root


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[SSHServer, SSHServer]]:
    extra = "Subsystem sftp internal-sftp"
    with ssh_server(tmp_path / "one", extra=extra) as one, ssh_server(tmp_path / "two", extra=extra) as two:
        yield one, two


@pytest.fixture
def config(servers: tuple[SSHServer, SSHServer], tmp_path: Path) -> Path:
    path = tmp_path / "ssh_config"
    write(path, servers)
    return path


def write(path: Path, servers: tuple[SSHServer, SSHServer]) -> None:
    one, two = servers
    path.write_text(config_text({"one": one.endpoint(), "two": two.endpoint()}))


def run(words: object) -> subprocess.CompletedProcess[str]:
    assert isinstance(words, list)
    return subprocess.run(words, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def copy(config: Path, source: Place, target: Place) -> subprocess.CompletedProcess[str]:
    return run(scp_line(shutil.which("scp") or "scp", config, (source, target), recursive=True, quiet=False))


def test_from_machine_to_machine(config: Path, tmp_path: Path) -> None:
    """Each end is reached by its own port and key; names with blanks and colons arrive."""
    source = tmp_path / "we:ird dir"
    source.mkdir()
    (source / "a b").write_text("content")
    done = copy(config, Place(str(source), "one"), Place(str(tmp_path / "there"), "two"))

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "there" / "a b").read_text() == "content"


def test_here_and_there(config: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(range(256)) * 1000)

    assert copy(config, Place(str(tmp_path / "x")), Place(str(tmp_path / "y"), "two")).returncode == 0
    assert copy(config, Place(str(tmp_path / "y"), "one"), Place(str(tmp_path / "z"))).returncode == 0
    assert (tmp_path / "z").read_bytes() == (tmp_path / "x").read_bytes()


def test_rsync_sends_what_differs(config: Path, tmp_path: Path) -> None:
    program = shutil.which("rsync")
    if program is None:
        pytest.skip("rsync is not installed")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a").write_text("first")
    places = (Place(f"{tmp_path}/tree/"), Place(str(tmp_path / "copy"), "two"))
    done = run(rsync_line(program, config, places, recursive=True, quiet=True))

    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert (tmp_path / "copy" / "a").read_text() == "first"


def test_a_failure_has_scps_status(config: Path, tmp_path: Path) -> None:
    done = copy(config, Place(str(tmp_path / "missing"), "one"), Place(str(tmp_path / "x")))

    assert done.returncode == 1
    assert "No such file" in done.stderr


def test_a_changed_host_key_is_refused(config: Path, servers: tuple[SSHServer, SSHServer], tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    assert copy(config, Place(str(tmp_path / "x")), Place(str(tmp_path / "y"), "one")).returncode == 0
    new_host_key(servers[0].directory)
    servers[0].restart()
    write(config, servers)
    done = copy(config, Place(str(tmp_path / "x")), Place(str(tmp_path / "z"), "one"))

    assert done.returncode != 0
    assert "host key" in done.stderr.lower()
    assert not (tmp_path / "z").exists()
