"""Names, engine and swarm options."""

import pytest

from pymachine.machine.config import EngineOptions, SwarmOptions
from pymachine.machine.errors import InvalidName, InvalidOption
from pymachine.machine.names import check_name


@pytest.mark.parametrize("name", ["a", "A1", "web-1.example", "0"])
def test_good_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", "-a", ".a", "a_b", "ü", "a/b", "a\n", "..", "a b", "x" * 64])
def test_bad_names(name: str) -> None:
    with pytest.raises(InvalidName, match="Invalid hostname specified"):
        check_name(name)


def test_options_survive_the_record() -> None:
    engine = EngineOptions(opts=("debug", "mtu=1400"), labels=("a=b",), storage_driver="vfs")
    swarm = SwarmOptions(master=True, discovery="token://x", opts=("a",))

    assert EngineOptions.from_json(engine.to_json() | {"later": 1}) == engine
    assert SwarmOptions.from_json(swarm.to_json() | {"later": 1}) == swarm


def test_every_wrong_engine_option_is_named() -> None:
    problems = EngineOptions(labels=("a",), env=("b",), opts=("=x",), registry_mirrors=("ftp://m",)).problems()

    assert [problem.split(":")[0] for problem in problems] == [
        "--engine-label",
        "--engine-env",
        "--engine-opt",
        "--engine-registry-mirror",
    ]


def test_line_breaks_cannot_reach_the_host() -> None:
    assert EngineOptions(env=("A=b\nExecStart=evil",)).problems()


@pytest.mark.parametrize("good", ["", "token://abc", "etcd://a,b/path", "file:///x"])
def test_good_discovery(good: str) -> None:
    SwarmOptions(discovery=good).check()


@pytest.mark.parametrize(
    ("host", "port"), [("tcp://0.0.0.0:3376", 3376), ("tcp://[::]:1", 1), ("tcp://manager.example:65535/", 65535)]
)
def test_the_managers_port(host: str, port: int) -> None:
    assert SwarmOptions(host=host).manager_port == port
    assert SwarmOptions(host=host).problems() == []


@pytest.mark.parametrize("host", ["", "nonsense", "tcp://0.0.0.0", "tcp://a:x", "tcp://a:65536", "tcp://a:0", "a:1"])
def test_every_wrong_swarm_option_is_named(host: str) -> None:
    problems = SwarmOptions(host=host, strategy="best", opts=("=x",), join_opts=("--",)).problems()

    assert [problem.split(":")[0] for problem in problems] == [
        "--swarm-host",
        "--swarm-strategy",
        "--swarm-opt",
        "--swarm-join-opt",
    ]
    assert SwarmOptions(opts=("a\nb",)).problems()


def test_discovery_must_be_a_url() -> None:
    with pytest.raises(InvalidOption, match="Swarm Discovery URL was in the wrong format: foo"):
        SwarmOptions(discovery="foo").check()
