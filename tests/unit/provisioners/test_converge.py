"""Converging: facts first, then only what differs; failures name their step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import pytest

from pymachine.machine.config import EngineOptions
from pymachine.machine.errors import DeadlineExceeded, ProvisionError, RemoteCommandFailed
from pymachine.machine.ssh.base import Result
from pymachine.provisioners import converge, paths
from pymachine.provisioners.actions import digest
from pymachine.provisioners.base import ProvisionPlan, TLSFiles
from pymachine.provisioners.converge import provision
from pymachine.provisioners.engineconfig import render_config
from pymachine.provisioners.facts import parse_facts
from pymachine.provisioners.services import service_text
from pymachine.provisioners.steps.config import Config
from pymachine.provisioners.steps.service import Service

FACTS = """
==os-release==
ID=debian
VERSION_ID=12
VERSION_CODENAME=bookworm
==hostname==
web-1
==etc-hostname==
web-1
==hosts==
127.0.1.1 web-1
==pid1==
systemd
==python==
3.11 /usr/bin/python3
whole /usr/bin/python3
==programs==
/usr/bin/apt-get
/usr/sbin/iptables-restore
/usr/bin/systemctl
==seccomp==
/usr/lib/x86_64-linux-gnu/libseccomp.so.2
==end==
"""


class ScriptedSession:
    """Answers the facts script with a text and records everything else; may fail one command."""

    def __init__(self, facts: str = FACTS, fails: str = "", locked: int = 0, hangs: str = "") -> None:
        self.facts, self.fails, self.locked, self.hangs = facts, fails, locked, hangs
        self.commands: list[str] = []
        self.files: dict[str, tuple[bytes | BinaryIO, int]] = {}

    def run(
        self, command: str, *, stdin: bytes | None = None, sudo: bool = False, check: bool = True, timeout: float = 600
    ) -> Result:
        if command == "sh -s":
            return Result(0, self.facts, "")
        self.commands.append(command)
        self._hang(command, timeout)
        if "apt-get" in command and self.locked:
            self.locked -= 1
            raise RemoteCommandFailed(command, 100, "E: Could not get lock /var/lib/dpkg/lock. It is held by process 7")
        if "install" in command:
            self.facts = FACTS
        if self.fails and self.fails in command:
            raise RemoteCommandFailed(command, 1, "first line\nthe reason\n")
        return Result(0, "", "")

    def put(
        self, data: bytes | BinaryIO, path: str, *, mode: int = 0o644, sudo: bool = False, timeout: float = 600
    ) -> None:
        self._hang(path, timeout)
        self.files[path] = (data, mode)

    def _hang(self, what: str, timeout: float) -> None:
        """As a session does when the host says nothing for so long."""
        if self.hangs and self.hangs in what:
            raise DeadlineExceeded(f"running on h: {what}", timeout, last_error="its last line")

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


@pytest.fixture
def plan(tmp_path: Path) -> ProvisionPlan:
    files = [tmp_path / name for name in ("ca.pem", "server.pem", "server-key.pem")]
    for path in files:
        path.write_text(path.name)
    return ProvisionPlan("web-1", "local", EngineOptions(), TLSFiles(*files), timeout=60)


def test_a_fresh_host_gets_every_step_and_its_key_is_private(plan: ProvisionPlan) -> None:
    session = ScriptedSession()

    done = provision(session, plan, lambda line: None)

    assert done.changed == ["release", "ownership", "tls", "config", "service"]
    assert session.files["/etc/pymachine/tls/server-key.pem"] == (b"server-key.pem", 0o600)
    assert session.commands[-2:] == ["systemctl restart pyengine.service", "rm -f /etc/pymachine/unread.*"]


@pytest.mark.parametrize(
    ("unread", "command"),
    [
        *[("tls", "reload"), ("config", "restart"), ("release", "restart"), ("login", "restart")],
        *[("tls\nrelease", "restart"), ("", "")],
    ],
)
def test_what_a_cut_off_run_changed_is_still_read_by_the_engine(plan: ProvisionPlan, unread: str, command: str) -> None:
    """Its files are as wanted by now, so no other step has anything to do."""
    facts = FACTS.replace("==end==", f"==service==\nenabled\nactive\n==unread==\n{unread}\n==end==")
    session = ScriptedSession(facts)
    provision(session, plan, lambda line: None, [Service()])

    expected = [f"systemctl {command} pyengine.service", "rm -f /etc/pymachine/unread.*"] if unread else []
    assert session.commands == expected


def test_a_service_that_a_cut_off_run_wrote_is_still_read_by_its_manager(plan: ProvisionPlan) -> None:
    wanted = {paths.ENGINE_CONFIG: render_config(plan, beside_docker=False)}
    wanted[paths.ENGINE_UNIT] = service_text(parse_facts(FACTS), ())
    files = "\n".join(f"{digest(data)}  {path}" for path, data in wanted.items())
    facts = FACTS.replace("==end==", f"==service==\nenabled\nactive\n==files==\n{files}\n==unread==\nconfig\n==end==")
    session = ScriptedSession(facts)
    provision(session, plan, lambda line: None, [Config(), Service()])

    commands = [command for command in session.commands if command.startswith("systemctl")]
    assert (session.files, commands) == ({}, ["systemctl daemon-reload", "systemctl restart pyengine.service"])


def test_a_change_is_marked_before_it_is_made_and_stays_so_until_it_is_read(plan: ProvisionPlan) -> None:
    session = ScriptedSession(fails="systemctl restart")
    with pytest.raises(ProvisionError):
        provision(session, plan, lambda line: None)

    marks = [command.rpartition(".")[2] for command in session.commands if "touch /etc/pymachine/unread" in command]
    assert marks == ["release", "tls", "config"]
    assert not any(command.startswith("rm -f /etc/pymachine/unread") for command in session.commands)


def test_a_step_that_fails_is_named_with_the_last_line_of_the_command(plan: ProvisionPlan) -> None:
    with pytest.raises(ProvisionError, match="Starting the engine failed: the reason") as caught:
        provision(ScriptedSession(fails="systemctl restart"), plan, lambda line: None)

    assert "journalctl" in caught.value.hint


OLD = FACTS.replace("3.11 /usr/bin/python3\nwhole /usr/bin/python3", "3.9 /usr/bin/python3")


def test_an_old_python_is_refused_before_anything_is_changed(plan: ProvisionPlan) -> None:
    session = ScriptedSession(OLD.replace("bookworm", "bullseye"))

    with pytest.raises(ProvisionError, match=r"needs Python 3\.11 or newer .* has 3\.9"):
        provision(session, plan, lambda line: None)

    assert session.commands == []


def test_locks_of_others_are_waited_out(plan: ProvisionPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a lock is met: such tries do not count, others do."""
    monkeypatch.setattr(converge, "_RETRY_SECONDS", 0.0)
    session = ScriptedSession(OLD, locked=50)

    assert provision(session, plan, lambda line: None).changed[0] == "packages"
    assert len([command for command in session.commands if "apt-get" in command]) == 52
    with pytest.raises(ProvisionError, match="Installing packages failed: the reason"):
        provision(failing := ScriptedSession(OLD, fails="update"), plan, lambda line: None)
    assert len([command for command in failing.commands if "update" in command]) == 3


def test_a_lock_that_is_held_too_long_is_named_with_its_holder(
    plan: ProvisionPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converge, "_RETRY_SECONDS", 0.0)

    with pytest.raises(DeadlineExceeded, match="installing packages: .*held by process 7"):
        provision(ScriptedSession(OLD, locked=1 << 30), replace(plan, timeout=0.2), lambda line: None)


@pytest.mark.parametrize(
    ("hangs", "stage"),
    [
        ("cloud-init status", "waiting for cloud-init"),
        ("touch /etc/pymachine/unread.release", "installing the engine"),
        ("mktemp -d", "installing the engine"),
        ("owner.json", "marking the host as this machine's"),
        ("tls/server-key.pem", "copying certificates to the host"),
        ("systemctl restart", "starting the engine"),
        ("rm -f /etc/pymachine/unread", "finishing"),
    ],
)
def test_a_host_that_falls_silent_ends_it_in_that_stage(plan: ProvisionPlan, hangs: str, stage: str) -> None:
    """Whatever is being done just then: told of the whole time, with the host's last line and where to look."""
    facts = FACTS.replace("==end==", "==cloud-init==\nstatus: running\n==end==")
    with pytest.raises(DeadlineExceeded, match=f"timed out after 60 s while {stage}: its last line") as caught:
        provision(ScriptedSession(facts, hangs=hangs), plan, lambda line: None)
    assert caught.value.hint == "On the host: journalctl -u pyengine.service"


def test_an_engine_that_fails_on_a_host_that_then_falls_silent_is_told_all_the_same(plan: ProvisionPlan) -> None:
    session = ScriptedSession(fails="systemctl restart", hangs="journalctl")
    with pytest.raises(ProvisionError, match="Starting the engine failed: the reason"):
        provision(session, plan, lambda line: None)


def test_the_deadline_names_the_stage(plan: ProvisionPlan) -> None:
    late = ProvisionPlan(plan.machine_name, "local", plan.engine, plan.tls, timeout=0)

    with pytest.raises(DeadlineExceeded, match="while asking the host for facts"):
        provision(ScriptedSession(), late, lambda line: None)
