"""Renames, archives and imports by the real program, with machines that have no hosts."""

from __future__ import annotations

import itertools
import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from pymachine.store.base import Record
from pymachine.store.file import FileStore
from support.certificates import Authority
from support.killpoints import attempt
from support.program import Program, environment
from support.schemas import check
from support.terminal import converse
from support.tls_engine import tls_engine

URL = "tcp://127.0.0.1:1"
ENOUGH = 8
"""Points of a rename at which it is killed; fewer would mean that they are not seen."""


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The program with a store that has one machine, ``m``."""
    program = Program(tmp_path / "store")
    program.ok("create", "-d", "none", "--url", URL, "m")
    return program


@pytest.fixture
def other(tmp_path: Path) -> Program:
    """The program with another, empty store."""
    return Program(tmp_path / "other")


def identity(program: Program, name: str) -> str:
    return str(json.loads(program.ok("inspect", name))["Pymachine"]["Id"])


def test_a_rename_killed_anywhere_leaves_one_whole_machine_and_is_finished_by_the_next(program: Program) -> None:
    store, names = FileStore(program.store), ("m", "n")
    before = store.load("m").id
    for number in itertools.count(1):
        old, new = names[::-1] if store.names() == ["n"] else names
        done = attempt(program, number, "rename", old, new)
        (record,) = store.load_all()
        assert isinstance(record, Record), (done, record)
        assert (record.name in names, record.id, record.phase) == (True, before, "ready"), done
        if not done.killed:
            break
        if record.name == old or store.journal(new).facts():
            program.ok("rename", old, new)
        assert store.names() == [new], done
        assert store.load(new).id == before
        assert not store.journal(new).facts()
    assert number > ENOUGH
    assert done.code == 0, done


def test_a_name_that_is_taken_or_unknown_changes_nothing(program: Program) -> None:
    program.ok("create", "-d", "none", "--url", URL, "n")

    assert program.run("rename", "m", "n").stderr == 'Docker machine "n" already exists\n'
    assert program.run("rename", "x", "y").returncode == 1
    assert program.run("rename", "m", "no_good").returncode == 1
    assert program.run("rename", "m").returncode == 1
    assert program.ok("ls", "-q") == "m\nn\n"


def test_an_archive_takes_everything_that_the_client_needs_and_the_ca_key_stays(
    program: Program, other: Program, tmp_path: Path
) -> None:
    other.ok("create", "-d", "none", "--url", URL, "own")
    archive = tmp_path / "machines.tar"
    program.ok("export", "-o", str(archive), "m")
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600

    other.ok("import", str(archive))

    source, target = program.store / "machines" / "m", other.store / "machines" / "m"
    for name in ("ca.pem", "cert.pem", "key.pem"):
        assert (target / name).read_bytes() == (source / name).read_bytes()
        assert stat.S_IMODE((target / name).stat().st_mode) == stat.S_IMODE((source / name).stat().st_mode)
    assert (program.store / "certs" / "ca-key.pem").read_bytes() not in archive.read_bytes()
    assert identity(other, "m") == identity(program, "m")
    own = (other.store / "certs" / "cert.pem").read_bytes()
    other.run("regenerate-certs", "-f", "--client-certs", "own")  # renews what is this store's, and no other
    assert (other.store / "certs" / "cert.pem").read_bytes() != own
    assert (target / "cert.pem").read_bytes() == (source / "cert.pem").read_bytes()
    again = other.run("import", str(archive))
    assert (again.returncode, again.stderr) == (1, 'Docker machine "m" already exists\n')


def test_a_passphrase_comes_from_a_file_the_environment_or_the_terminal(
    program: Program, other: Program, tmp_path: Path
) -> None:
    archive, secret = tmp_path / "sealed", tmp_path / "secret"
    secret.write_text("correct horse\nbattery\n")
    code, shown = converse(
        program.argv("export", "-e", "-o", str(archive), "m"),
        environment(),
        [("Passphrase: ", "correct horse"), ("The same again: ", "correct horse")],
    )
    assert code == 0, shown
    assert "correct horse" not in shown
    assert b"record.json" not in archive.read_bytes()

    wrong = other.run("import", str(archive), env={"MACHINE_PASSPHRASE": "wrong"})
    assert wrong.returncode == 1
    assert wrong.stderr == f"{archive}: the passphrase is another, or the file was changed or cut short\n"
    assert other.ok("ls", "-q") == ""
    other.ok("import", "--passphrase-file", str(secret), str(archive))
    other.ok("rm", "-y", "m")
    other.ok("import", str(archive), env={"MACHINE_PASSPHRASE": "correct horse"})
    assert other.ok("ls", "-q") == "m\n"


def test_without_a_terminal_a_missing_passphrase_is_one_clear_line(program: Program, tmp_path: Path) -> None:
    done = subprocess.run(
        program.argv("export", "-e", "-o", str(tmp_path / "x"), "m"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(),
        start_new_session=True,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "the archive needs a passphrase, and there is no terminal to ask for it"
    assert not (tmp_path / "x").exists()


def test_docker_machines_store_is_imported_and_left_as_it_was(tmp_path: Path, other: Program) -> None:
    root = tmp_path / "docker-machine"
    docker_machine(root, "good", {"URL": URL})
    docker_machine(root, "bad", None)
    before = snapshot(root)

    done = other.run("import-docker-machine", str(root))

    assert done.returncode == 1
    assert 'Imported "good" (none).' in done.stdout
    assert 'Not imported: "bad": its config.json is damaged' in done.stdout + done.stderr
    assert done.stderr.splitlines()[-1] == "1 of 2 machines were not imported: bad"
    assert other.ok("url", "good").strip() == URL
    assert snapshot(root) == before


def test_docker_talks_to_an_imported_machine_with_the_certificates_it_had(tmp_path: Path, other: Program) -> None:
    """Over TLS; this store's own CA is another, and signs nothing for it."""
    root = tmp_path / "docker-machine"
    docker_machine(root, "good", {"URL": "set below"})
    directory = root / "machines" / "good"
    authority = Authority.make(directory)
    for (cert, key), names in (
        (authority.issue("server", "127.0.0.1"), ("server.pem", "server-key.pem")),
        (authority.issue("client"), ("cert.pem", "key.pem")),
    ):
        (directory / names[0]).write_bytes(cert.read_bytes())
        (directory / names[1]).write_bytes(key.read_bytes())
    other.ok("create", "-d", "none", "--url", URL, "own")
    with tls_engine(directory) as url:
        config = (directory / "config.json").read_text()
        (directory / "config.json").write_text(config.replace("set below", url))
        other.ok("import-docker-machine", str(root))

        assert f"DOCKER_HOST={url}" in other.ok("env", "--shell", "sh", "good").replace('"', "")
        (row,) = [row for row in json.loads(other.ok("ls", "--format", "json")) if row["Name"] == "good"]
        assert row["DockerVersion"] == "v1.2.3"
    assert (other.store / "machines" / "good" / "ca.pem").read_bytes() == authority.ca.read_bytes()


def test_several_machines_are_made_though_one_cannot_be(program: Program) -> None:
    program.ok("create", "-d", "none", "--url", "tcp://192.0.2.9:1", "n-2")  # another one of that name

    done = program.run("create", "-d", "none", "--url", URL, "-n", "3", "--max-parallel", "2", "n")

    assert (done.returncode, done.stderr) == (1, 'n-2: Docker machine "n-2" already exists\n')
    assert "n-3: Creating machine..." in done.stdout
    assert program.ok("ls", "-q") == "m\nn-1\nn-2\nn-3\n"


def docker_machine(root: Path, name: str, driver: dict[str, object] | None) -> None:
    """A machine as docker-machine keeps it; ``None`` for one with half a config.json."""
    directory = root / "machines" / name
    directory.mkdir(parents=True)
    config = {"ConfigVersion": 3, "Driver": driver, "DriverName": "none", "HostOptions": {}, "Name": name}
    text = json.dumps(config)
    (directory / "config.json").write_text(text if driver is not None else text[: len(text) // 2])


def snapshot(root: Path) -> dict[str, tuple[int, float, bytes]]:
    return {
        str(path): (path.stat().st_mode, path.stat().st_mtime, path.read_bytes() if path.is_file() else b"")
        for path in sorted(root.rglob("*"))
    }


def test_doctor_names_each_problem_with_its_remedy(program: Program) -> None:
    assert program.run("doctor", "none").returncode == 0
    key = program.store / "machines" / "m" / "key.pem"
    key.chmod(0o644)
    (program.store / "machines" / "half").mkdir(mode=0o700)
    (program.store / "machines" / "hurt").mkdir(mode=0o700)
    (program.store / "machines" / "hurt" / "record.json").touch(mode=0o600)

    done = program.run("doctor", "none")
    areas = check("doctor", program.run("doctor", "--format", "json", "none").stdout)

    assert done.returncode == 1
    assert [(area["Area"].split()[0], area["Counts"]) for area in areas] == [
        ("store", True),
        ("programs", True),
        ("driver", True),
    ]
    assert {finding["Level"] for finding in areas[0]["Findings"]} == {"warning", "problem"}
    assert f"  problem  {key} is open to others (mode 0644)\n           → chmod 600 '{key}'" in done.stdout
    assert "half is no machine: it has no record" in done.stdout
    assert 'the record of machine "hurt" cannot be used: the file is empty' in done.stdout
    os.chmod(key, 0o600)
