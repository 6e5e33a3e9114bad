"""The variables that ``env`` sets and unsets."""

from pathlib import Path

from pymachine.machine.bundle.connection import Connection, swarm_url
from pymachine.machine.bundle.environment import variables, with_host, without_host
from pymachine.machine.bundle.flags import flags

CONNECTION = Connection("tcp://10.0.0.2:2376", Path("/store/machines/m"), "10.0.0.2")


def test_variables_in_docker_machines_order() -> None:
    assert list(variables(CONNECTION, "m").items()) == [
        ("DOCKER_TLS_VERIFY", "1"),
        ("DOCKER_HOST", "tcp://10.0.0.2:2376"),
        ("DOCKER_CERT_PATH", "/store/machines/m"),
        ("DOCKER_MACHINE_NAME", "m"),
    ]


def test_compose_on_windows_is_told_to_translate_paths() -> None:
    assert variables(CONNECTION, "m", windows=True)["COMPOSE_CONVERT_WINDOWS_PATHS"] == "true"


def test_flags_are_five_lines_with_quoted_paths() -> None:
    assert flags(CONNECTION).split("\n") == [
        "--tlsverify",
        '--tlscacert="/store/machines/m/ca.pem"',
        '--tlscert="/store/machines/m/cert.pem"',
        '--tlskey="/store/machines/m/key.pem"',
        "-H=tcp://10.0.0.2:2376",
    ]


def test_the_host_joins_the_no_proxy_list_that_is_set() -> None:
    assert with_host({}, "10.0.0.2") == ("NO_PROXY", "10.0.0.2")
    assert with_host({"NO_PROXY": "a,b"}, "10.0.0.2") == ("NO_PROXY", "a,b,10.0.0.2")
    assert with_host({"no_proxy": "a", "NO_PROXY": "b"}, "10.0.0.2") == ("no_proxy", "a,10.0.0.2")


def test_a_host_is_added_even_when_a_longer_one_contains_it() -> None:
    assert with_host({"NO_PROXY": "10.0.0.20"}, "10.0.0.2") == ("NO_PROXY", "10.0.0.20,10.0.0.2")
    assert with_host({"NO_PROXY": "x, 10.0.0.2"}, "10.0.0.2") == ("NO_PROXY", "x,10.0.0.2")


def test_unsetting_takes_only_the_active_host_out() -> None:
    environ = {"NO_PROXY": "a,10.0.0.2", "DOCKER_HOST": "tcp://10.0.0.2:2376"}
    assert without_host(environ) == ("NO_PROXY", "a")
    assert without_host(environ | {"NO_PROXY": "10.0.0.2"}) == ("NO_PROXY", "")


def test_the_manager_has_the_engines_address_and_its_own_port() -> None:
    assert swarm_url("tcp://10.0.0.2:2376", 3376) == "tcp://10.0.0.2:3376"
    assert swarm_url("tcp://[fd00::2]:2376", 4000) == "tcp://[fd00::2]:4000"
