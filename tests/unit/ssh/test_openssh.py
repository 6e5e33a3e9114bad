"""The ssh command line: safe options first, then the user's words untouched."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pymachine.machine.errors import MissingRequirement, SSHError
from pymachine.machine.ssh.base import SSHEndpoint
from pymachine.machine.ssh.keys import ensure_key
from pymachine.machine.ssh.openssh import command_line, run_interactive


@pytest.fixture
def endpoint(tmp_path: Path) -> SSHEndpoint:
    directory = tmp_path / 'a "machine" 100%h'
    ensure_key(directory / "id_ed25519")
    return SSHEndpoint(
        "10.0.0.1", user="me", port=2222, key_path=directory / "id_ed25519", known_hosts=directory / "known_hosts"
    )


def effective(endpoint: SSHEndpoint, *args: str) -> dict[str, str]:
    """What ssh makes of the command line (``ssh -G``)."""
    program, *words = command_line(endpoint, list(args), interactive=True)
    shown = subprocess.run([program, "-G", *words], capture_output=True, text=True, check=True).stdout
    return dict(line.split(" ", 1) for line in shown.splitlines() if " " in line)


def test_ssh_understands_it_also_with_odd_paths(endpoint: SSHEndpoint) -> None:
    settings = effective(endpoint)

    assert settings["user"] == "me"
    assert settings["hostname"] == "10.0.0.1"
    assert settings["port"] == "2222"
    assert settings["identitiesonly"] == "yes"
    assert settings["stricthostkeychecking"] == "accept-new"
    assert settings["passwordauthentication"] == "no"
    assert settings["updatehostkeys"] == "false"
    assert settings["controlmaster"] == "false"
    assert settings["identityfile"].replace("%%", "%") == str(endpoint.key_path)


def test_a_pinned_key_must_match_whatever_the_address(endpoint: SSHEndpoint) -> None:
    assert endpoint.known_hosts
    endpoint.known_hosts.write_text("[10.0.0.9]:22022 ssh-ed25519 AAAA\n")
    settings = effective(endpoint)

    assert settings["stricthostkeychecking"] == "true"
    assert settings["hostkeyalias"] == "[10.0.0.9]:22022"
    assert settings["globalknownhostsfile"] == "/dev/null"


@pytest.mark.parametrize(
    "args", [[], ["ls", "-l /tmp"], ["--", "ls"], ["-C", "echo foo"], ["-L", "80:x:80"], ["echo 'a  b'; exit 3"]]
)
def test_the_users_words_come_last_and_untouched(endpoint: SSHEndpoint, args: list[str]) -> None:
    words = command_line(endpoint, args, interactive=True)
    at = words.index("me@10.0.0.1")

    assert words[at + 1 :] == args


def test_without_a_key_of_ours_the_users_configuration_counts(tmp_path: Path) -> None:
    words = command_line(SSHEndpoint("h"), [], interactive=True)

    assert "-F" not in words
    assert not any("Identit" in word or "KnownHosts" in word for word in words)


def test_with_a_key_of_ours_it_does_not(endpoint: SSHEndpoint) -> None:
    words = command_line(endpoint, [], interactive=True)

    assert words[1:3] == ["-F", "/dev/null"]


def test_programs_are_never_asked_questions(endpoint: SSHEndpoint) -> None:
    assert "BatchMode=yes" in command_line(endpoint, [], interactive=False)
    assert "BatchMode=yes" not in command_line(endpoint, [], interactive=True)


def test_a_proxy_command_is_handed_on(tmp_path: Path) -> None:
    words = command_line(SSHEndpoint("h", proxy_command="nc %h %p"), [], interactive=False)

    assert "ProxyCommand=nc %h %p" in words


@pytest.mark.parametrize(("host", "user"), [("-oProxyCommand=x", "u"), ("h", "-l"), ("", "u"), ("h", ""), ("a b", "u")])
def test_nothing_can_pose_as_an_option(host: str, user: str) -> None:
    with pytest.raises(SSHError, match="is no SSH (host|user)"):
        command_line(SSHEndpoint(host, user=user), [], interactive=True)


def test_a_key_open_to_others_is_refused(endpoint: SSHEndpoint) -> None:
    assert endpoint.key_path
    endpoint.key_path.chmod(0o644)

    with pytest.raises(SSHError, match="too open"):
        command_line(endpoint, [], interactive=True)


def test_without_the_program_the_remedy_is_named(endpoint: SSHEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    with pytest.raises(MissingRequirement, match="ssh is missing") as caught:
        command_line(endpoint, [], interactive=True)
    assert "apt-get install" in caught.value.hint


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137)])
def test_the_status_is_handed_back(
    endpoint: SSHEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, status: int
) -> None:
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")

    assert run_interactive(endpoint, []) == status
