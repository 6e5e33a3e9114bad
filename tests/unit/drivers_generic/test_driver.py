"""The generic driver without a host: what it checks, notes and refuses."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.drivers.base import State
from pymachine.drivers.generic import GenericDriver
from pymachine.drivers.generic.options import Options
from pymachine.drivers.options import build, describe
from pymachine.drivers.testing import Workbench
from pymachine.machine.errors import DriverError, InvalidOption, PreCreateCheckFailed
from pymachine.machine.ssh.keys import ensure_key

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIKf1qA5Q5dV8o6pXe2t4b0m0n8yq6d8s3j1k2l3m4n5o"


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path / "bench", timeout=5)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config"
    path.write_text(
        f"Host web\n  HostName 192.0.2.7\n  User ann\n  Port 2222\n  IdentityFile {tmp_path}/web_key\n"
        f"  ProxyCommand nc %h %p\n  HostKeyAlias webkey\n  UserKnownHostsFile {tmp_path}/known\n"
    )
    (tmp_path / "known").write_text(f"webkey ssh-ed25519 {KEY}\n192.0.2.7 ssh-ed25519 OTHER\n")
    ensure_key(tmp_path / "web_key")
    return path


def driver(bench: Workbench, **options: object) -> GenericDriver:
    return GenericDriver(build("generic", Options, options, env={}), bench.context())


def test_flags_and_variables_are_docker_machines() -> None:
    specs = {spec.flag: spec.env for spec in describe("generic", Options)}

    assert {
        "--generic-engine-port": "GENERIC_ENGINE_PORT",
        "--generic-ip-address": "GENERIC_IP_ADDRESS",
        "--generic-ssh-key": "GENERIC_SSH_KEY",
        "--generic-ssh-port": "GENERIC_SSH_PORT",
        "--generic-ssh-user": "GENERIC_SSH_USER",
    }.items() <= specs.items()


def test_a_password_is_no_option() -> None:
    """Options are recorded; a takeover is not to be left in an environment either."""
    specs = {spec.field: spec for spec in describe("generic", Options)}

    assert not [name for name in specs if "password" in name and specs[name].type != "bool"]
    assert specs["takeover"].env == ""


def test_all_wrong_values_are_named_at_once(bench: Workbench) -> None:
    with pytest.raises(InvalidOption, match="requires the --generic-ip-address option; .*ssh-port.*; .*engine-port"):
        driver(bench, ssh_port=-1, engine_port=0).pre_create_check()
    with pytest.raises(InvalidOption, match="'-oProxyCommand=x' is no host"):
        driver(bench, ip_address="-oProxyCommand=x").pre_create_check()


def test_a_key_that_is_not_there_fails_the_check(bench: Workbench) -> None:
    with pytest.raises(PreCreateCheckFailed, match='SSH key does not exist: "/no/such/key"'):
        driver(bench, ip_address="192.0.2.1", ssh_key="/no/such/key").pre_create_check()


def test_an_alias_of_ssh_config_is_all_that_is_needed(bench: Workbench, config: Path) -> None:
    made = driver(bench, ip_address="web", ssh_config=str(config))
    made.pre_create_check()
    made.create()
    end = made.ssh_endpoint()

    assert (end.host, end.user, end.port, end.proxy_command) == ("192.0.2.7", "ann", 2222, "nc 192.0.2.7 2222")
    assert end.key_path == bench.store / "web_key"
    assert end.key_path.stat().st_mode & 0o777 == 0o600
    assert (bench.store / "web_key.pub").exists()
    assert (bench.store / "known_hosts").read_text() == f"webkey ssh-ed25519 {KEY}\n"
    assert made.engine_url() == "tcp://192.0.2.7:2376"


def test_flags_count_more_than_ssh_config(bench: Workbench, config: Path, tmp_path: Path) -> None:
    key = tmp_path / "cert.pem"
    ensure_key(key)
    made = driver(
        bench,
        ip_address="web",
        ssh_config=str(config),
        ssh_user="bob",
        ssh_port=22,
        ssh_key=str(key),
        proxy_jump="none",
        engine_port=4243,
    )
    made.create()
    end = made.ssh_endpoint()

    assert (end.user, end.port, end.proxy_command) == ("bob", 22, "")
    assert end.key_path == bench.store / "ssh-cert.pem", "cert.pem is the client certificate's name"
    assert made.engine_url() == "tcp://192.0.2.7:4243"


def test_what_was_found_out_is_kept_when_ssh_config_changes(bench: Workbench, config: Path) -> None:
    driver(bench, ip_address="web", ssh_config=str(config)).create()
    config.unlink()

    assert driver(bench, ip_address="web", ssh_config=str(config)).address() == "192.0.2.7"


def test_ipv6_addresses_are_bracketed(bench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "config").touch()
    made = driver(bench, ip_address="2001:db8::1", ssh_config=str(tmp_path / "config"))
    made.create()

    assert made.engine_url() == "tcp://[2001:db8::1]:2376"


def test_a_host_is_never_started_or_stopped(bench: Workbench) -> None:
    for verb in ("start", "stop", "kill"):
        with pytest.raises(DriverError, match=f"^generic driver does not support {verb}$"):
            getattr(driver(bench), verb)()


def test_remove_says_that_the_host_stays(bench: Workbench, config: Path) -> None:
    driver(bench, ip_address="web", ssh_config=str(config)).create()
    context, said = bench.context(), list[str]()
    context.report = said.append
    removed = GenericDriver(Options("web"), context)
    removed.remove()
    removed.remove()

    assert said == ["The host 192.0.2.7 is left as it is, with its engine, containers and images."]
    assert removed.state() is State.NONE


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_host_runs_when_its_ssh_port_answers(bench: Workbench, tmp_path: Path, listener: socket.socket) -> None:
    (tmp_path / "config").touch()
    port = listener.getsockname()[1]
    made = driver(bench, ip_address="127.0.0.1", ssh_port=port, ssh_config=str(tmp_path / "config"))
    made.create()
    assert made.state() is State.RUNNING
    listener.close()
    assert made.state() is State.STOPPED


def test_through_a_proxy_it_runs_when_it_speaks(bench: Workbench, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host up\n  ProxyCommand printf SSH-2.0-x\nHost down\n  ProxyCommand false\n")
    for name, state in (("up", State.RUNNING), ("down", State.STOPPED)):
        made = driver(Workbench(tmp_path / name, timeout=5), ip_address=name, ssh_config=str(config))
        made.create()
        assert made.state() is state
