"""Certificates of a real machine: renewed and changed by reload, while its containers and its clients go on."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from pymachine.machine.certs import issue
from pymachine.machine.certs.authority import ca_files
from pymachine.machine.certs.glance import Glance, glance
from pymachine.machine.machine import Machine
from pymachine.machine.operations import converge
from pymachine.machine.operations.deadline import Deadline
from pymachine.machine.operations.report import Silent
from pymachine.store.file import FileStore
from support.busybox import rootfs_tar
from support.commandlines import CommandLines, secrets_of
from support.localprogram import image_root, local_program
from support.program import Program, environment

pytestmark = pytest.mark.root

MONTHS = timedelta(days=300)


@dataclass
class Rig:
    """A machine ``m`` with a container that runs, and a client that listens to its events."""

    program: Program
    events: subprocess.Popen[str]
    before: tuple[str, str]

    @property
    def directory(self) -> Path:
        return self.program.store / "machines" / "m"

    def machine(self) -> Machine:
        return Machine.load(FileStore(self.program.store), "m")

    def docker(self, *args: str) -> str:
        """The real docker with what ``config`` prints."""
        return docker(self.program, "m", *args)

    def untouched(self) -> tuple[str, str]:
        """The container's id, start and process; the engine's process."""
        container = self.docker("inspect", "-f", "{{.Id}} {{.State.StartedAt}} {{.State.Pid}}", "box")
        return container, self.program.ok("ssh", "m", "systemctl show -P MainPID pyengine")

    def check_untouched(self) -> None:
        """Nothing was restarted, and the client that listens was not cut off: it hears of what happens now."""
        assert self.untouched() == self.before
        name = f"e{os.urandom(4).hex()}"
        self.docker("create", "--name", name, "busybox", "true")
        assert self.events.stdout is not None
        for line in self.events.stdout:
            if name in line:
                break
        assert self.events.poll() is None
        self.docker("rm", name)

    def shown(self) -> datetime:
        """When the certificate expires that the engine shows now."""
        host = self.program.ok("ip", "m").strip()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(self.directory / "cert.pem", self.directory / "key.pem")
        import socket

        with socket.create_connection((host, 2376), 20) as plain, context.wrap_socket(plain) as connection:
            der = connection.getpeercert(binary_form=True)
        assert der is not None
        return x509.load_der_x509_certificate(der).not_valid_after_utc

    def error_in_list(self) -> str:
        (row,) = json.loads(self.program.ok("ls", "--format", "json"))
        return str(row["Error"])


def docker(program: Program, name: str, *args: str, stdin: bytes = b"") -> str:
    config = program.ok("config", name).replace('"', "").split()
    done = subprocess.run(["docker", *config, *args], input=stdin, capture_output=True, timeout=60, env=environment())
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().strip()


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with local_program(image_root()) as program, contextlib.ExitStack() as stack:
        program.ok("create", "m")
        docker(program, "m", "import", "-", "busybox", stdin=rootfs_tar())
        docker(program, "m", "run", "-d", "--name", "box", "busybox", "sleep", "1000")
        config = program.ok("config", "m").replace('"', "").split()
        command = ["docker", *config, "events"]
        events = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        stack.callback(events.wait)
        stack.callback(events.kill)
        made = Rig(program, events, ("", ""))
        made.before = made.untouched()
        yield made


def seen(path: Path) -> Glance:
    found = glance(path)
    assert found is not None
    return found


def rotate(rig: Rig, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """Give the host a server certificate for a few days."""
    monkeypatch.setattr(issue, "LEAF_LIFE", timedelta(days=days))
    machine = rig.machine()
    converge.rotate(machine, machine.driver(), Silent(), Deadline(60), renew=True)
    monkeypatch.undo()


def test_files_are_private_on_the_host_and_here(rig: Rig) -> None:
    modes = rig.program.ok("ssh", "m", "stat -c '%a %U %n' /etc/pymachine/tls /etc/pymachine/tls/*").splitlines()

    assert modes == [
        "700 root /etc/pymachine/tls",
        "644 root /etc/pymachine/tls/ca.pem",
        "600 root /etc/pymachine/tls/server-key.pem",
        "644 root /etc/pymachine/tls/server.pem",
    ]
    for place in (rig.directory, rig.program.store / "certs"):
        keys = {path.name: path.stat().st_mode & 0o777 for path in place.glob("*key.pem")}
        assert set(keys.values()) == {0o600}, keys


def test_an_expiry_is_seen_in_the_list_and_mended_by_env(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rotate(rig, monkeypatch, 20)
    assert rig.shown() - datetime.now(UTC) < timedelta(days=21)
    assert "the server certificate expires on" in rig.error_in_list()

    done = rig.program.run("env", "--shell", "sh", "m")
    assert done.returncode == 0
    assert 'Renewing the certificates of "m": the server certificate expires on' in done.stderr
    assert "Renewing" not in done.stdout
    assert rig.error_in_list() == ""
    assert rig.shown() - datetime.now(UTC) > MONTHS
    rig.check_untouched()
    assert rig.program.run("env", "--shell", "sh", "m").stderr == ""


def test_the_ca_is_renewed_with_its_key_and_the_host_gets_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issue, "CA_LIFE", timedelta(days=20))
    files = ca_files(rig.program.store / "certs")
    old = files.load()
    assert old is not None
    files.save(issue.cert_pem(issue.make_ca(old.key, old.certificate.subject)), issue.key_pem(old.key))
    monkeypatch.undo()
    key = seen(files.cert).public_key

    lines = rig.program.run("env", "--shell", "sh", "m").stderr.splitlines()
    assert any(line.startswith("Renewing CA") for line in lines), lines
    assert seen(files.cert).public_key == key
    assert seen(files.cert).end - datetime.now(UTC) > MONTHS
    assert files.cert.read_text() == rig.program.ok("ssh", "m", "cat /etc/pymachine/tls/ca.pem")
    assert files.cert.read_bytes() == (rig.directory / "ca.pem").read_bytes()
    rig.check_untouched()


def test_regenerating_forces_both(rig: Rig) -> None:
    names = ("server.pem", "server-key.pem", "cert.pem", "key.pem")
    before = [(rig.directory / name).read_bytes() for name in names]
    with CommandLines() as watch:
        rig.program.ok("regenerate-certs", "-f", "--client-certs", "m")
    after = [(rig.directory / name).read_bytes() for name in names]

    assert not set(before) & set(after)
    assert rig.program.ok("ssh", "m", "cat /etc/pymachine/tls/server.pem").encode() == after[0]
    for secret in secrets_of(rig.program.store):
        assert watch.naming(secret) == []
    rig.check_untouched()


def test_a_changed_address_is_noticed_and_the_certificate_follows(rig: Rig) -> None:
    """The host gets a second address and the record says that it is the machine's, as when DHCP gave another one."""
    old = rig.program.ok("ip", "m").strip()
    new = f"{old.rpartition('.')[0]}.250"
    rig.program.ok("ssh", "m", f"ip address add {new}/24 dev host0")
    known = rig.directory / "known_hosts"
    known.write_text(known.read_text().replace(old, new))
    machine = rig.machine()
    machine.record.resources["address"] = new
    machine.save()
    error = rig.error_in_list()
    assert "address has changed" in error or "mismatch" in error, error

    done = rig.program.run("env", "--shell", "sh", "m")
    assert done.returncode == 0, done.stderr
    assert f'export DOCKER_HOST="tcp://{new}:2376"' in done.stdout
    assert f"the address has changed to {new}" in done.stderr
    assert rig.error_in_list() == ""
    assert new in seen(rig.directory / "server.pem").names
    rig.check_untouched()


@pytest.mark.parametrize(("kind", "by"), [("ed25519", "flag"), ("rsa", "environment")])
def test_every_kind_of_key_works_with_docker_and_is_on_no_command_line(rig: Rig, kind: str, by: str) -> None:
    """One create, watched: command lines and environments of all processes here and on the host."""
    with tempfile.TemporaryDirectory() as place:
        program = Program(Path(place, "store"), rig.program.env)
        flags = ["--tls-key-type", kind] if by == "flag" else []
        try:
            with CommandLines() as watch:
                program.ok("create", *flags, kind, env={} if flags else {"MACHINE_TLS_KEY_TYPE": kind})
            kinds = [
                subprocess.run(["openssl", "pkey", "-noout", "-text", "-in", path], capture_output=True).stdout.split()[
                    0
                ]
                for path in [*program.store.rglob("*key.pem")]
            ]
            assert len(kinds) == 4
            assert set(kinds) == {b"ED25519" if kind == "ed25519" else b"Private-Key:"}
            assert docker(program, kind, "version", "--format", "{{.Server.Os}}") == "linux"
            secrets = secrets_of(program.store)
            assert len(secrets) == 5
            assert watch.naming(b"pyengine")
            assert [line for secret in secrets for line in watch.naming(secret)] == []
            assert watch.naming(b"PRIVATE KEY-") == []
        finally:
            program.run("rm", "-f", kind)
