"""What ``[user@]machine:path`` means, and how it reaches scp and rsync."""

import os
from pathlib import Path

import pytest

from pymachine.machine.errors import MachineError, SSHError
from pymachine.machine.operations.copy import rsync_line, scp_line
from pymachine.machine.operations.places import Place, parse_place
from pymachine.machine.ssh.base import SSHEndpoint
from pymachine.machine.ssh.configfile import config_text

MACHINES = {"web", "db", "c"}

PLACES = {
    "web:/etc/hosts": Place("/etc/hosts", "web"),
    "web:": Place("", "web"),
    "me@web:file": Place("file", "web", "me"),
    "me@home@web:file": Place("file", "web", "me@home"),
    "web:a:b": Place("a:b", "web"),
    "file": Place("file"),
    "./we:ird": Place("./we:ird"),
    "/abs/we:ird": Place("/abs/we:ird"),
    "../we:ird": Place("../we:ird"),
    "dir\\we:ird": Place("dir\\we:ird"),
    "localhost:/etc": Place("/etc"),
    "localhost:": Place("."),
    "me@localhost:x": Place("x"),
    "C:\\Users\\x": Place("C:\\Users\\x"),
    "C:/Users/x": Place("C:/Users/x"),
    "C:": Place("C:"),
    "c:\\x": Place("c:\\x"),
    "c:/x": Place("/x", "c"),
    "unknown:/x": Place("/x", "unknown"),
}


@pytest.mark.parametrize("text", PLACES)
def test_places(text: str) -> None:
    assert parse_place(text, MACHINES.__contains__) == PLACES[text]


@pytest.mark.parametrize("text", [":x", "@web:x", "me@:x", "-oProxyCommand=sh@web:x"])
def test_places_that_are_none(text: str) -> None:
    with pytest.raises(MachineError):
        parse_place(text, MACHINES.__contains__)


@pytest.mark.skipif(os.name == "nt", reason="drives exist there")
@pytest.mark.parametrize(
    ("place", "word"),
    [
        (Place("we:ird"), "./we:ird"),
        (Place("./we:ird"), "././we:ird"),
        (Place("-r"), "./-r"),
        (Place("/a:b"), "/a:b"),
        (Place("plain"), "plain"),
        (Place("x y", "web", "me"), "me@web:x y"),
        (Place("/etc", "web"), "web:/etc"),
    ],
)
def test_no_program_takes_a_path_for_something_else(place: Place, word: str) -> None:
    assert place.word == word


def test_the_command_lines() -> None:
    here, web, db = Place("x"), Place("/y", "web"), Place("/z", "db", "me")
    config = Path("/t/ssh_config")

    assert scp_line("scp", config, (here, web), recursive=True, quiet=True) == [
        *("scp", "-F", "/t/ssh_config", "-r", "-q", "--", "x", "web:/y")
    ]
    assert scp_line("scp", config, (web, db), recursive=False, quiet=False) == [
        *("scp", "-F", "/t/ssh_config", "-3", "--", "web:/y", "me@db:/z")
    ]
    assert rsync_line("rsync", config, (web, here), recursive=True, quiet=False) == [
        *("rsync", "--progress", "-e", 'ssh -F "/t/ssh_config"', "-r", "--", "web:/y", "x")
    ]
    assert "--progress" not in rsync_line("rsync", config, (web, here), recursive=False, quiet=True)


def test_each_machine_has_its_own_port_and_key(tmp_path: Path) -> None:
    text = config_text(
        {
            "web": SSHEndpoint("10.0.0.1", "root", 22, tmp_path / "web key", tmp_path / "known"),
            "db": SSHEndpoint("10.0.0.2", "admin", 2222, tmp_path / "db"),
        }
    )
    web, db = text.split("Host db\n")

    assert f'  IdentityFile "{tmp_path}/web key"\n' in web
    assert f'  UserKnownHostsFile "{tmp_path}/known"\n' in web
    assert "  StrictHostKeyChecking accept-new\n" in web
    assert "  Port 2222\n" in db
    assert "  HostName 10.0.0.2\n  User admin\n" in db
    assert "Include" not in text


def test_the_users_configuration_counts_for_machines_without_a_key_of_ours() -> None:
    assert config_text({"web": SSHEndpoint("10.0.0.1")}).endswith("Match all\n  Include ~/.ssh/config\n")


def test_values_that_would_begin_a_line_of_their_own_are_refused() -> None:
    with pytest.raises(SSHError, match="line break"):
        config_text({"web": SSHEndpoint("10.0.0.1", proxy_command="nc\nProxyCommand rm")})
