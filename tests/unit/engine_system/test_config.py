"""The engine's configuration: daemon.json, flags, and everything that can be wrong with them."""

import json
from pathlib import Path
from typing import Any

import pytest

from pymachine.engine.config import AddressPool, ConfigError, EngineConfig, parse_host
from pymachine.engine.config_sources import SETTINGS, Sources, load
from pymachine.engine.runtime.spec import Rlimit


def _file(tmp_path: Path, document: Any) -> str:
    path = tmp_path / "daemon.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return f"--config-file={path}"


def _problems(*argv: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(list(argv))
    return caught.value.problems


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert load([_file(tmp_path, {})]) == EngineConfig()


def test_every_setting_is_a_field_and_every_field_a_setting() -> None:
    assert {item.field for item in SETTINGS} | {"warnings"} == set(EngineConfig.__dataclass_fields__)


def test_keys_of_daemon_json_are_read(tmp_path: Path) -> None:
    config = load(
        [
            _file(
                tmp_path,
                {
                    "hosts": ["unix:///run/a.sock"],
                    "labels": ["a=b"],
                    "log-opts": {"max-size": "1m"},
                    "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 10, "Hard": 20}},
                    "default-address-pools": [{"base": "10.1.0.0/16", "size": 24}],
                    "iptables": False,
                    "mtu": 1400,
                    "data-root": "/data",
                },
            )
        ]
    )
    assert config.hosts == ("unix:///run/a.sock",)
    assert config.log_opts == {"max-size": "1m"}
    assert config.default_ulimits == (Rlimit("nofile", 10, 20),)
    assert config.default_address_pools == (AddressPool("10.1.0.0/16", 24),)
    assert (config.iptables, config.mtu, config.data_root) == (False, 1400, Path("/data"))


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    file = _file(tmp_path, {"labels": ["a=1"], "debug": True, "mtu": 1400})
    config = load([file, "--label", "b=2", "--label=c=3", "--debug=false", "--default-ulimit", "core=0:1"])
    assert config.labels == ("b=2", "c=3")
    assert (config.debug, config.mtu) == (False, 1400)
    assert config.default_ulimits == (Rlimit("core", 0, 1),)


def test_dockerds_short_flags_are_known(tmp_path: Path) -> None:
    file = _file(tmp_path, {})
    config = load([file, "-H", "unix:///a", "-H", "unix:///b", "-D", "-l", "warn", "-s", "vfs", "-G", "wheel"])
    assert config.hosts == ("unix:///a", "unix:///b")
    assert (config.level, config.storage_driver, config.group) == ("debug", "vfs", "wheel")


def test_provisioning_may_write_the_flags_forms_into_lists(tmp_path: Path) -> None:
    config = load(
        [
            _file(
                tmp_path,
                {"default-ulimits": ["nofile=1:2"], "default-address-pools": ["base=10.1.0.0/16,size=24"]},
            )
        ]
    )
    assert config.default_ulimits == (Rlimit("nofile", 1, 2),)
    assert config.default_address_pools == (AddressPool("10.1.0.0/16", 24),)


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    file = _file(tmp_path, {"labels": "a=b", "mtu": True, "colour": "red", "userns-remap": "default", "hosts": [1]})
    problems = _problems(file, "--shutdown-timeout", "soon")
    text = "\n".join(problems)
    for part in (
        "labels: expected a list of strings, not 'a=b'",
        "mtu: expected a whole number, not true",
        "colour: unknown key",
        "userns-remap: unknown key",
        "hosts: expected a list of strings, not 1",
        "--shutdown-timeout: expected a whole number, not 'soon'",
    ):
        assert part in text
    assert len(problems) == 6


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["--mtu=10"], "mtu: 10 is not between 68 and 65535"),
        (["--bip=10.0.0.1"], "bip: '10.0.0.1' is not an address with a prefix length, like 172.17.0.1/16"),
        (["--dns=ns.example"], "dns: 'ns.example' is not an IP address"),
        (["--label=x"], "labels: 'x' is not of the form name=value"),
        (["--log-level=loud"], "log-level: 'loud' is none of debug, info, warn, error, fatal"),
        (["--data-root=data"], "--data-root: expected an absolute path, not 'data'"),
        (["-H", "udp://x"], "hosts: 'udp://x' is none of unix:///path, tcp://address:port, fd://"),
        (["--tlsverify"], "tlscert: needed for TLS"),
        (["--bridge", "a/b"], "bridge: 'a/b' cannot be a link's name"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--default-address-pool", "base=10.0.0.0/8"], "--default-address-pool: expected base=…,size=…"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, argv: list[str], problem: str) -> None:
    assert any(line.startswith(problem) for line in _problems(_file(tmp_path, {}), *argv))


def test_tcp_without_client_certificates_needs_an_explicit_word(tmp_path: Path) -> None:
    file = _file(tmp_path, {})
    assert "--insecure-tcp" in _problems(file, "-H", "tcp://127.0.0.1:2375")[0]
    assert "--insecure-tcp" in _problems(file, "-H", "tcp://127.0.0.1:2376", "--tls", "--tlscert=/c", "--tlskey=/k")[0]
    assert load([file, "-H", "tcp://127.0.0.1:2375", "--insecure-tcp"]).insecure_tcp


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000, ""])
def test_a_file_that_is_no_object_is_named(tmp_path: Path, text: str) -> None:
    assert "daemon.json" in _problems(_file(tmp_path, text))[0]


def test_only_a_file_that_was_asked_for_must_exist(tmp_path: Path) -> None:
    assert "no such file" in _problems(f"--config-file={tmp_path}/none.json")[0]


def test_harmless_keys_of_dockerd_are_warned_about(tmp_path: Path) -> None:
    config = load([_file(tmp_path, {"live-restore": True}), "--exec-opt", "native.cgroupdriver=systemd"])
    assert [warning.split()[0] for warning in config.warnings] == ["live-restore", "exec-opts"]


def test_a_changed_file_is_seen_by_the_next_load(tmp_path: Path) -> None:
    sources = Sources([_file(tmp_path, {"labels": ["a=1"]})])
    assert sources.load().labels == ("a=1",)
    _file(tmp_path, {"labels": ["a=2"]})
    assert sources.load().label_map == {"a": "2"}


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("unix:///run/x.sock", ("unix", "/run/x.sock", 0)),
        ("tcp://0.0.0.0:2376", ("tcp", "0.0.0.0", 2376)),
        ("tcp://[::1]:2376", ("tcp", "::1", 2376)),
        ("tcp://:2376", ("tcp", "", 2376)),
        ("127.0.0.1:2376", ("tcp", "127.0.0.1", 2376)),
        ("fd://", ("fd", "", 0)),
    ],
)
def test_hosts_come_in_dockerds_forms(host: str, expected: tuple[str, str, int]) -> None:
    assert parse_host(host) == expected
