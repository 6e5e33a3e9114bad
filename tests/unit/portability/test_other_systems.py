"""The client on Windows and macOS: nothing that only Linux has is needed on its path.

The real system is out of reach here, so a process is deprived of what it lacks (`support.othersystem`); what only
Windows itself can show (locks, renaming) is `store.portable`'s and filelock's, and tested by their rules.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.machine.certs.server import issue_server
from pymachine.machine.cli.commands import COMMANDS
from pymachine.machine.client import Client
from pymachine.store import portable
from pymachine.store.file import FileStore
from support.othersystem import LINUX_NAMES, POSIX_MODULES, Run, run_there
from support.program import environment
from support.records import record
from support.tls_engine import tls_engine

ROOT = Path(__file__).parents[3]


URL = ("--url", "tcp://127.0.0.1:1")
HOST = ("--generic-ip-address", "127.0.0.1", "--generic-ssh-port", "1", "--timeout", "1")
SHELLS = ("sh", "cmd", "powershell", "fish")
RUNS: dict[str, tuple[str, ...]] = {
    "create": ("create", "-d", "none", *URL, "web"),
    "first create": ("create", "-d", "none", *URL, "web"),
    "env served": ("env", "--shell", "sh", "served"),
    "config served": ("config", "served"),
    "doctor": ("doctor", "none"),  # generic's asks for the SSH agent, which paramiko finds by calls into Windows
    "doctor local": ("doctor", "local"),
    "ls": ("ls",),
    "ls -q": ("ls", "-q"),
    "inspect": ("inspect", "web"),
    "status": ("status", "web"),
    "url": ("url", "web"),
    "env": ("env", "--shell", "powershell", "web"),
    "config": ("config", "web"),
    **{f"env -u {shell}": ("env", "-u", "--shell", shell) for shell in SHELLS},
    "ls damaged": ("ls", "-t", "2"),
    "rm": ("rm", "-f", "web", "bad"),
    "create local": ("create", "-d", "local", "new"),
    "image ls": ("image", "ls"),
    "image build": ("image", "build"),
    "create generic": ("create", "-d", "generic", *HOST, "host"),
    "start linux": ("start", "linux"),
    "create cloud": ("create", "-d", "amazonec2", "--amazonec2-endpoint", "http://127.0.0.1:1", "cloud"),
    "create virtual": ("create", "-d", "libvirt", "--libvirt-uri", "qemu+unix:///system?socket=/nonexistent", "vm"),
    "rm generic": ("rm", "-f", "host"),
    "ls at last": ("ls", "-q"),
    "version": ("version",),
    **{f"{name} --help": (name, "--help") for name in COMMANDS if name != "help"},
}
"""What is done, one after the other, in one process."""


@pytest.fixture(scope="module", params=["windows", "macos"])
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """All `RUNS` on another system, in a store with a machine of a Linux computer and a damaged record."""
    place = tmp_path_factory.mktemp(request.param)
    store = FileStore(place / "store")
    store.create(record("linux", driver="local", options={}, resources={"address": "127.0.0.1"}, phase="ready"))
    store.create(record("bad"))
    (store.machine_dir("bad") / "record.json").write_bytes(b"{")
    with served_machine(store):
        return {name: run for name, run in zip(RUNS, told(request.param, place), strict=True)}


@contextlib.contextmanager
def served_machine(store: FileStore) -> Iterator[None]:
    """A machine at whose URL something answers with certificates of the store."""
    machine = Client(store.root, environ={}).create("served", "none", options={"url": "tcp://127.0.0.1:1"})
    issue_server(store, "served", ["127.0.0.1"], [])
    with tls_engine(machine.directory) as url:
        machine.record.options["url"] = url
        machine.save()
        yield


def told(system: str, place: Path) -> list[Run]:
    """Do all `RUNS`; those called first in a store of their own."""
    stores = {True: str(place / "first"), False: str(place / "store")}
    argvs = [["-s", stores[name.startswith("first ")], *argv] for name, argv in RUNS.items()]
    cloud = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "eu-west-1"}
    env = environment({"PYTHONPATH": str(ROOT / "tests"), "HOME": str(place), "MACHINE_DRIVER": "none", **cloud})
    return run_there(system, argvs, env)


def test_a_machine_from_create_to_rm(runs: dict[str, Run]) -> None:
    """Records, certificates, locks, listings and removal need nothing of Linux."""
    for name in ("create", "ls", "ls -q", "inspect", "status", "url", "rm", "version"):
        assert runs[name].code == 0, runs[name]
    assert runs["ls -q"].stdout == "linux\nserved\nweb\n"
    assert json.loads(runs["inspect"].stdout)["Name"] == "web"
    assert runs["status"].stdout == "Running\n"
    assert runs["url"].stdout == "tcp://127.0.0.1:1\n"
    assert "Successfully removed web" in runs["rm"].stdout
    assert runs["ls at last"].stdout == "linux\nserved\n"


def test_the_first_create_makes_the_certificates(runs: dict[str, Run]) -> None:
    assert "Creating CA: " in runs["first create"].stdout
    assert "Creating client certificate: " in runs["first create"].stdout


def test_env_and_config_of_a_machine_that_answers(runs: dict[str, Run]) -> None:
    """Checked over TLS, with the paths of this system."""
    lines = runs["env served"].stdout.split("\n")
    assert lines[0] == 'export DOCKER_TLS_VERIFY="1"'
    assert lines[1].startswith('export DOCKER_HOST="tcp://127.0.0.1:')
    assert lines[2].endswith('/store/machines/served"')
    assert "--tlsverify\n--tlscacert=" in runs["config served"].stdout


def test_doctor_looks_at_the_store(runs: dict[str, Run]) -> None:
    assert "the record of machine" in runs["doctor"].stdout


def test_env_and_config_of_one_that_does_not(runs: dict[str, Run]) -> None:
    for name in ("env", "config"):
        assert "the engine at 127.0.0.1:1 cannot be reached" in runs[name].stderr


def test_every_command_has_its_help(runs: dict[str, Run]) -> None:
    """So every command can be imported."""
    assert [(name, run) for name, run in runs.items() if name.endswith("--help") and run.code] == []


def test_nothing_fails_unexpectedly(runs: dict[str, Run]) -> None:
    assert [run for run in runs.values() if "unexpectedly" in run.stderr or "Traceback" in run.stderr] == []


def test_what_shells_read_has_plain_line_ends(runs: dict[str, Run]) -> None:
    """Windows' text streams make two characters of a newline; the first would end up in values."""
    for shell in SHELLS:
        run = runs[f"env -u {shell}"]
        assert run.code == 0
        assert run.stdout.count("\n") > 4
    assert [run for run in runs.values() if "\r" in run.stdout + run.stderr] == []


def test_local_is_for_linux(runs: dict[str, Run]) -> None:
    """One clear line, with a way out, as for any check before create."""
    assert runs["create local"].code == 3
    for name in ("create local", "image ls", "image build"):
        assert "the local driver is for Linux" in runs[name].stderr


def test_generic_comes_as_far_as_ssh(runs: dict[str, Run]) -> None:
    assert "while connecting to 127.0.0.1 port 1: Connection refused" in runs["create generic"].stderr


def test_clouds_are_asked(runs: dict[str, Run]) -> None:
    assert runs["create cloud"].code == 3
    assert 'Could not connect to the endpoint URL: "http://127.0.0.1:1/"' in runs["create cloud"].stderr


def test_libvirt_is_where_its_library_is(runs: dict[str, Run]) -> None:
    """On Windows the one line says for whom it is, on macOS that there is no libvirt, or no module for it."""
    assert runs["create virtual"].code in (1, 3)
    first = runs["create virtual"].stderr.splitlines()[0]
    assert "it is for Linux and macOS" in first or "libvirt does not run here" in first or "pymachine[libvirt]" in first


def test_machines_of_a_linux_computer_can_be_seen(runs: dict[str, Run]) -> None:
    """In a store that is shared; what is to be done there is said."""
    assert "linux" in runs["ls"].stdout
    assert runs["start linux"].code == 1
    assert 'machine "linux" is on a Linux computer; this is none' in runs["start linux"].stderr


def test_damaged_records_are_listed(runs: dict[str, Run]) -> None:
    assert "cut short" in runs["ls damaged"].stdout


def client_modules() -> Iterator[Path]:
    """What any system may import."""
    for folder in ("machine", "store", "provisioners"):
        yield from sorted((ROOT / folder).rglob("*.py"))
    yield from sorted((ROOT / "drivers").glob("*.py"))
    for driver in ("amazonec2", "generic"):
        yield from sorted((ROOT / "drivers" / driver).glob("*.py"))
    yield ROOT / "drivers/local/__init__.py"
    yield ROOT / "drivers/local/elsewhere.py"
    yield ROOT / "drivers/local/endpoint.py"
    yield ROOT / "drivers/local/options.py"


def outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    """What is run when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield child
            yield from outside_functions(child)


def test_no_module_of_the_client_imports_what_only_posix_has() -> None:
    """Also those that the other tests do not come to."""
    wrong = []
    for path in client_modules():
        for node in outside_functions(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            wrong += [f"{path.relative_to(ROOT)} imports {name}" for name in names if name in POSIX_MODULES]

    assert wrong == []


def test_what_systems_do_differently_with_files_is_in_one_place() -> None:
    """Names of `os` that Windows or macOS lacks are used there, and nowhere else in the client."""
    unsafe = {*LINUX_NAMES, "fork", "pread", "fchmod", "chown", "uname", "O_CLOEXEC", "O_DIRECTORY", "O_NONBLOCK"}
    wrong = []
    for path in client_modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
                wrong += [f"{path.relative_to(ROOT)}: os.{node.attr}"] * (node.attr in unsafe)

    assert [line for line in wrong if not line.startswith("store/portable.py")] == []


class TestWindowsRules:
    """What `store.portable` does where Windows is asked."""

    @pytest.fixture(autouse=True)
    def windows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(portable, "WINDOWS", True)
        monkeypatch.setattr(portable, "PATIENCE", 0.2)

    def test_a_new_file_takes_its_name_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """By a rename that replaces nothing, since there may be no hard links."""
        monkeypatch.setattr(os, "rename", self._rename)
        for attempt in ("first", "second"):
            (tmp_path / attempt).write_text(attempt)
        portable.publish(tmp_path / "first", tmp_path / "name")
        with pytest.raises(FileExistsError):
            portable.publish(tmp_path / "second", tmp_path / "name")
        assert (tmp_path / "name").read_text() == "first"

    def test_a_file_that_is_being_read_is_replaced_a_moment_later(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refusals = [PermissionError(13, "in use")] * 3
        real = os.replace

        def replace(source: Path, target: Path) -> None:
            if refusals:
                raise refusals.pop()
            real(source, target)

        monkeypatch.setattr(os, "replace", replace)
        (tmp_path / "new").write_text("new")
        portable.replace(tmp_path / "new", tmp_path / "name")
        assert (tmp_path / "name").read_text() == "new"

    def test_one_that_stays_open_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(source: Path, target: Path) -> None:
            raise PermissionError(13, "in use")

        monkeypatch.setattr(os, "replace", refuse)
        with pytest.raises(PermissionError):
            portable.replace(tmp_path / "a", tmp_path / "b")

    def test_directories_are_not_synced(self, tmp_path: Path) -> None:
        portable.sync_directory(tmp_path / "absent")

    @staticmethod
    def _rename(source: Path, target: Path) -> None:
        if os.path.lexists(target):
            raise FileExistsError(17, "exists", str(target))
        os.replace(source, target)


def test_elsewhere_a_refusal_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only Windows is asked twice."""
    asked = []

    def refuse(source: Path, target: Path) -> None:
        asked.append(target)
        raise PermissionError(13, "no")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError):
        portable.replace(tmp_path / "a", tmp_path / "b")
    assert len(asked) == 1
