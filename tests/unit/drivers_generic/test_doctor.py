"""The doctors of drivers that need little: each thing that is wrong here, by itself, with its remedy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pymachine.drivers.generic.doctor import findings
from pymachine.drivers.none import PROXIES, NoneDriver
from pymachine.machine.ssh.keys import ensure_key


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose ``.ssh`` has one good key."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    for name in (*PROXIES, "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    ensure_key(tmp_path / ".ssh" / "id_ed25519")
    return tmp_path


def told(**environ: str) -> tuple[str, str]:
    (finding,) = findings(environ)
    return finding.level, f"{finding.text} → {finding.remedy}"


def test_a_good_key_and_configuration_are_all_it_takes(home: Path) -> None:
    (home / ".ssh" / "config").write_text("Host web\n  HostName 192.0.2.1\n  ProxyJump edge\n")
    assert told()[0] == "ok"


def test_a_configuration_that_cannot_be_used(home: Path) -> None:
    (home / ".ssh" / "config").write_text("Host web\n  Port many\nMatch nonsense\n")
    level, text = told()
    assert level == "problem"
    assert str(home / ".ssh" / "config") in text
    assert "ssh -G HOST" in text


def test_a_key_that_is_open_to_others_and_no_other(home: Path) -> None:
    key = home / ".ssh" / "id_ed25519"
    key.chmod(0o644)
    open_, none = findings({})
    assert (open_.level, none.level) == ("warning", "warning")
    assert str(key) in open_.text
    assert "chmod 600" in open_.remedy
    assert "ssh-keygen" in none.remedy


def test_no_key(home: Path) -> None:
    shutil.rmtree(home / ".ssh")
    level, text = told()
    assert level == "warning"
    assert "no SSH key to log in with" in text
    assert "ssh-keygen -t ed25519" in text


@pytest.mark.parametrize(
    ("variable", "value"),
    [("GENERIC_SSH_KEY", "/nonexistent"), ("GENERIC_SSH_CONFIG", "/nonexistent"), ("GENERIC_SSH_PORT", "many")],
)
def test_variables_that_name_what_is_not_there(variable: str, value: str) -> None:
    level, text = told(**{variable: value})
    assert level == "problem"
    assert value in text


def test_no_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert told() == ("warning", "there is no ssh, which jump hosts need → sudo apt-get install openssh-client")


def test_a_proxy_between_docker_and_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [finding.level for finding in NoneDriver.doctor()] == ["ok"]
    monkeypatch.setenv("HTTPS_PROXY", "http://ann:secret@proxy.example:3128")
    (finding,) = NoneDriver.doctor()
    assert finding.level == "warning"
    assert "proxy.example:3128" in finding.text
    assert "secret" not in finding.text
    assert "--no-proxy" in finding.remedy
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8")
    assert [finding.level for finding in NoneDriver.doctor()] == ["ok"]
