"""Kill -9 before each thing that changes a machine's certificates or its name; then the same command again.

Containers go on, and the engine answers after every kill: it shows the old pair or the new one.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from pymachine.machine.certs import issue
from pymachine.machine.certs.authority import ca_files, client_files, weakness
from pymachine.machine.certs.server import TLSPaths, issue_server, server_certificate_fits, server_files
from pymachine.store.file import FileStore
from support.busybox import rootfs_tar
from support.killpoints import Attempt, again_and_again, attempt, complete
from support.localmachine import nspawns
from support.localprogram import image_root, local_program
from support.program import Program, environment

pytestmark = [pytest.mark.root, pytest.mark.slow]

ENOUGH = 25
"""Points of each command; fewer would mean that they are not seen."""
TLS = "etc/pymachine/tls"


@dataclass
class Rig:
    """A machine with a container that runs."""

    program: Program
    address: str
    host: Path
    """The host's files, as this computer sees them."""
    client: Path
    """Copies of CA and client certificate, as a client that runs has them."""
    before: tuple[object, ...] = ()

    @property
    def store(self) -> FileStore:
        return FileStore(self.program.store)

    @property
    def directory(self) -> Path:
        """Of the one machine, whatever its name is now."""
        (name,) = self.store.names()
        return self.store.machine_dir(name)

    def ask(self, certs: Path, path: str) -> tuple[bytes, dict[str, object]]:
        """The certificate that the engine shows, and what it answers to a client of *certs*."""
        context = ssl.create_default_context(cafile=certs / "ca.pem")
        context.load_cert_chain(certs / "cert.pem", certs / "key.pem")
        with contextlib.closing(http.client.HTTPSConnection(self.address, 2376, timeout=60, context=context)) as engine:
            engine.connect()
            assert isinstance(engine.sock, ssl.SSLSocket)
            shown = engine.sock.getpeercert(binary_form=True)
            engine.request("GET", path)
            answer = engine.getresponse()
            document = json.loads(answer.read())
        assert answer.status == 200, document
        assert shown is not None
        return shown, document

    def container(self) -> tuple[object, ...]:
        """What is no longer the same when the container was touched."""
        _, box = self.ask(self.client, "/containers/box/json")
        state = box["State"]
        assert isinstance(state, dict)
        return box["Id"], state["StartedAt"], state["Pid"], state["Running"], box["RestartCount"]

    def check_reachable(self, after: Attempt) -> None:
        """Right after a kill: clients are served, and the container runs on."""
        assert self.container() == self.before, after

    def check(self, after: Attempt) -> None:
        """All is well: pairs are pairs, the host has what the store has, and the engine shows it."""
        directory, certs = self.directory, self.program.store / "certs"
        pairs = [
            ca_files(certs),
            client_files(certs),
            client_files(directory),
            server_files(TLSPaths.in_directory(directory)),
        ]
        ca = pairs[0].load()
        assert ca is not None
        for files in pairs:
            pair = files.load()
            assert pair is not None
            assert weakness(pair, ca) == "", (after, files.cert)
            assert not files.is_pending(), (after, files.cert)
        assert server_certificate_fits(directory, [self.address], ca=certs / "ca.pem") == "", after
        assert [path.name for path in (*certs.glob(".*"), *directory.glob(".*server*"))] == [], after
        for name in ("ca.pem", "cert.pem", "key.pem"):
            assert (directory / name).read_bytes() == (certs / name).read_bytes(), after
        for name in ("ca.pem", "server.pem", "server-key.pem"):
            assert (self.host / TLS / name).read_bytes() == (directory / name).read_bytes(), after
        assert sorted(path.name for path in (self.host / TLS).iterdir()) == ["ca.pem", "server-key.pem", "server.pem"]
        assert not list(self.host.glob("etc/pymachine/unread.*")), after
        shown, _ = self.ask(directory, "/version")
        assert shown == ssl.PEM_cert_to_DER_cert((directory / "server.pem").read_text()), after
        self.check_reachable(after)


def docker(program: Program, *args: str, stdin: bytes = b"") -> None:
    config = program.ok("config", "m").replace('"', "").split()
    done = subprocess.run(["docker", *config, *args], input=stdin, capture_output=True, timeout=60, env=environment())
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with local_program(image_root()) as program:
        program.ok("create", "m")
        docker(program, "import", "-", "busybox", stdin=rootfs_tar())
        docker(program, "run", "-d", "--name", "box", "busybox", "sleep", "1000")
        (init,) = inits(Path(program.env["PYMACHINE_LOCAL_ROOT"]))
        client = program.store.with_name("client")
        shutil.copytree(program.store / "certs", client)
        made = Rig(program, program.ok("ip", "m").strip(), init / "root", client)
        made.before = made.container()
        assert made.before[3] is True
        yield made


def inits(root: Path) -> list[Path]:
    """The first processes of hosts under a local root: children of their systemd-nspawn."""
    children = [(process / "task" / process.name / "children").read_text().split() for process in nspawns(root)]
    return [Path("/proc", child) for group in children for child in group]


def test_regenerating_killed_at_any_point_is_done_by_the_next(rig: Rig) -> None:
    """Client certificate and server certificate, each time from the start."""
    command = ("regenerate-certs", "-f", "--client-certs", "m")
    number = 0
    while (done := attempt(rig.program, number := number + 1, *command)).killed:
        rig.check_reachable(done)
        complete(rig.program, *command)
        rig.check(done)
    assert done.code == 0, done
    assert number > ENOUGH


def test_a_rotation_by_env_killed_at_any_point_is_finished_by_the_next(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CA and server certificate are about to expire. The same again and again, each time killed one point later."""
    expire(rig, monkeypatch)
    command = ("env", "--shell", "sh", "m")
    points = []
    for done in again_and_again(lambda seen: attempt(rig.program, 0, *command, seen=seen)):
        points.append(done.point)
        rig.check_reachable(done)
        assert not done.killed or "export" not in done.output, done
    assert done.code == 0, done
    assert len(points) > ENOUGH
    rig.check(done)
    assert "Renewing" not in attempt(rig.program, 0, *command).output


def expire(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the store have a CA and the machine a server certificate for a few days; the host keeps what it has."""
    files = ca_files(rig.program.store / "certs")
    old = files.load()
    assert old is not None
    with monkeypatch.context() as patch:
        for life in ("CA_LIFE", "LEAF_LIFE"):
            patch.setattr(issue, life, timedelta(days=20))
        issue_server(rig.store, "m", [rig.address], [])
        files.save(issue.cert_pem(issue.make_ca(old.key, old.certificate.subject)), issue.key_pem(old.key))


def test_a_rename_killed_at_any_point_is_finished_by_the_next(rig: Rig) -> None:
    """The same rename again and again, each time killed one point later: it goes on where it was."""
    points = []
    for done in again_and_again(lambda seen: attempt(rig.program, 0, "rename", "m", "renamed", seen=seen)):
        points.append(done.point)
        rig.check_reachable(done)
    last = 'Docker machine "m" does not exist'  # killed when all was done but the end of the process
    assert done.code == 0 or last in done.output, done
    assert len(points) > ENOUGH
    rig.check(done)
    assert rig.store.names() == ["renamed"]
    assert not rig.store.journal("renamed").facts()
    assert (rig.host / "etc/hostname").read_text() == "renamed\n"
    assert "due" not in rig.store.load("renamed").provisioned
    complete(rig.program, "rename", "renamed", "m")
    rig.check(done)
