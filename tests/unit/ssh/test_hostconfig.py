"""ssh_config is read as ssh reads it; jump hosts become a command."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from pymachine.machine.errors import InvalidOption
from pymachine.machine.ssh.base import SSHEndpoint
from pymachine.machine.ssh.hostconfig import host_config
from pymachine.machine.ssh.proxy import fill_in


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "more").mkdir()
    (tmp_path / "more/a.conf").write_text("Host inner\n  User included\n")
    path = tmp_path / "config"
    path.write_text(
        "Include more/*.conf\n"
        "Host web inner\n"
        "  HostName 192.0.2.7\n"
        "  User ann\n"
        "  Port 2222\n"
        "  IdentityFile ~/.ssh/web\n"
        "  IdentityFile /keys/%h\n"
        "  HostKeyAlias webkey\n"
        "  UserKnownHostsFile /one /two\n"
        "Host inner\n"
        "  ProxyJump hop\n"
        "Host direct\n"
        "  ProxyJump none\n"
        "Host tunnel\n"
        "  ProxyCommand nc -x proxy %h %p\n"
        "Host both\n"
        "  Include more/none*.conf\n"
        "  ProxyCommand first\n"
        "  ProxyJump second\n"
        "Host strict\n"
        "  StrictHostKeyChecking yes\n"
    )
    return path


def test_a_host_that_is_not_configured_is_itself(config: Path) -> None:
    found = host_config("198.51.100.1", config=config)

    assert (found.address, found.user, found.port, found.keys) == ("198.51.100.1", "", 0, ())
    assert (found.proxy_command, found.alias, found.known_hosts) == ("", "", ())


def test_everything_that_leads_to_a_host_is_read(config: Path) -> None:
    found = host_config("web", config=config)

    assert (found.address, found.user, found.port) == ("192.0.2.7", "ann", 2222)
    assert found.keys == (Path.home() / ".ssh/web", Path("/keys/192.0.2.7"))
    assert (found.alias, found.known_hosts) == ("webkey", (Path("/one"), Path("/two")))


def test_what_an_included_file_says_first_counts(config: Path) -> None:
    found = host_config("inner", config=config)

    assert (found.user, found.address) == ("included", "192.0.2.7")
    assert found.proxy_command.endswith("-W '['%h']':%p -- hop")


def test_a_block_goes_on_after_an_include(config: Path) -> None:
    assert host_config("both", config=config).proxy_command == "first"


def test_proxies_are_what_the_configuration_or_the_option_says(config: Path) -> None:
    assert host_config("direct", config=config).proxy_command == ""
    assert host_config("inner", config=config, jump="none").proxy_command == ""
    tunnel = host_config("tunnel", config=config).proxy_command
    assert fill_in(SSHEndpoint("tunnel", proxy_command=tunnel)) == "nc -x proxy tunnel 22"
    assert host_config("direct", config=config, jump="a").proxy_command.endswith("-- a")


def test_a_jump_host_is_asked_nothing_and_its_own_settings_count(config: Path) -> None:
    command = host_config("x", config=config, jump="me@Strict.Example:23").proxy_command
    words = shlex.split(fill_in(SSHEndpoint("10.0.0.1", port=22, proxy_command=command)))

    assert words[:3] == ["ssh", "-o", "BatchMode=yes"]
    assert words[words.index("-F") + 1] == str(config)
    assert words[words.index("-l") + 1] == "me"
    assert words[words.index("-p") + 1] == "23"
    assert words[words.index("-W") + 1 :] == ["[10.0.0.1]:22", "--", "Strict.Example"]
    assert "StrictHostKeyChecking=accept-new" in words
    assert "accept-new" not in host_config("x", config=config, jump="strict").proxy_command


def test_several_jump_hosts_are_a_chain(config: Path) -> None:
    """Each is reached through the one before, whose own command ssh fills in."""
    command = host_config("x", config=config, jump="a,b:24, c").proxy_command
    outer = shlex.split(fill_in(SSHEndpoint("h", proxy_command=command)))
    middle = shlex.split(next(word for word in outer if word.startswith("ProxyCommand=")).removeprefix("ProxyCommand="))
    inner = next(word for word in middle if word.startswith("ProxyCommand="))

    assert outer[-3:] == ["[h]:22", "--", "c"]
    assert middle[-3:] == ["[%h]:%p", "--", "b"]
    assert inner.endswith("-- a")
    assert "%%" in inner, "left for the ssh after the next to fill in"


@pytest.mark.parametrize("jump", ["-oProxyCommand=evil", "a b", "u@", "h:port", ",", "-x@h"])
def test_what_is_no_jump_host_is_refused(config: Path, jump: str) -> None:
    with pytest.raises(InvalidOption, match="is no jump host"):
        host_config("x", config=config, jump=jump)


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="there is no SSH configuration file"):
        host_config("x", config=tmp_path / "none")
    loop = tmp_path / "loop"
    loop.write_text("Include loop\n")
    with pytest.raises(InvalidOption, match="too deeply"):
        host_config("x", config=loop)
    loop.write_text("Host x\n  Port many\n")
    with pytest.raises(InvalidOption, match="no number"):
        host_config("x", config=loop)
