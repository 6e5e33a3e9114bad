"""Docker's store of contexts: what is ours in it, and what stays as it was."""

import json
import stat
from pathlib import Path

import pytest

from pymachine.machine.context.dockerstore import DockerContext, DockerContexts
from pymachine.machine.errors import MachineError

WEB = DockerContext("web", "tcp://192.0.2.1:2376", "id-1", "tls", "pymachine web")
FILES = {"ca.pem": b"ca", "cert.pem": b"cert", "key.pem": b"key"}


@pytest.fixture
def contexts(tmp_path: Path) -> DockerContexts:
    return DockerContexts(tmp_path / "docker")


def test_what_is_written_is_found_by_machine(contexts: DockerContexts) -> None:
    assert contexts.write(WEB, FILES)
    assert contexts.find("id-1") == WEB
    assert contexts.find("id-2") is None


def test_writing_the_same_again_changes_nothing(contexts: DockerContexts) -> None:
    contexts.write(WEB, FILES)

    assert not contexts.write(WEB, FILES)
    assert contexts.write(WEB, FILES | {"key.pem": b"new"})


def test_keys_are_private(contexts: DockerContexts) -> None:
    contexts.write(WEB, FILES)
    (key,) = contexts.directory.glob("contexts/tls/*/docker/key.pem")

    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700


def test_certificates_go_when_they_are_no_longer_needed(contexts: DockerContexts) -> None:
    contexts.write(WEB, FILES)
    contexts.write(DockerContext("web", "unix:///x", "id-1", "ssh"), {})

    assert list(contexts.directory.glob("contexts/tls/*")) == []


@pytest.mark.parametrize(
    "meta",
    [
        b'{"Name":"web","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://10.0.0.1:2375"}}}',
        b"not json",
        b"[]",
        b'{"Name":"web","Metadata":{"pymachine":{"machine":"id-2","kind":"tls"}},"Endpoints":{"docker":{"Host":"x"}}}',
    ],
)
def test_somebody_elses_context_is_left_alone(contexts: DockerContexts, meta: bytes) -> None:
    contexts.write(WEB, {})
    (path,) = contexts.directory.glob("contexts/meta/*/meta.json")
    path.write_bytes(meta)

    with pytest.raises(MachineError, match="There is a docker context"):
        contexts.write(WEB, FILES)
    assert path.read_bytes() == meta


def test_using_a_context_keeps_the_rest_of_the_configuration(contexts: DockerContexts) -> None:
    contexts.directory.mkdir()
    config = contexts.directory / "config.json"
    config.write_text('{"auths": {"r": {"auth": "secret"}}, "psFormat": "ü"}')
    config.chmod(0o640)
    contexts.use("web")

    assert json.loads(config.read_text()) == {
        "auths": {"r": {"auth": "secret"}},
        "psFormat": "ü",
        "currentContext": "web",
    }
    assert stat.S_IMODE(config.stat().st_mode) == 0o640
    contexts.use("")
    assert "currentContext" not in json.loads(config.read_text())


def test_a_linked_configuration_stays_a_link(contexts: DockerContexts, tmp_path: Path) -> None:
    contexts.directory.mkdir()
    (tmp_path / "dotfiles.json").write_text("{}")
    (contexts.directory / "config.json").symlink_to(tmp_path / "dotfiles.json")
    contexts.use("web")

    assert (contexts.directory / "config.json").is_symlink()
    assert json.loads((tmp_path / "dotfiles.json").read_text()) == {"currentContext": "web"}


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_configuration_that_cannot_be_read_is_not_overwritten(contexts: DockerContexts, text: str) -> None:
    contexts.directory.mkdir()
    (contexts.directory / "config.json").write_text(text)

    with pytest.raises(MachineError, match="docker's configuration"):
        contexts.use("web")
    assert (contexts.directory / "config.json").read_text() == text


def test_removing_the_current_context_ends_its_use(contexts: DockerContexts) -> None:
    contexts.write(WEB, FILES)
    contexts.use("web")
    contexts.remove("web")

    assert contexts.current() == ""
    assert list(contexts.ours()) == []
    assert list(contexts.directory.glob("contexts/*/*")) == []
    contexts.remove("web")


def test_reading_makes_nothing(contexts: DockerContexts) -> None:
    assert (list(contexts.ours()), contexts.current()) == ([], "")
    contexts.use("")
    assert not contexts.directory.exists() or list(contexts.directory.iterdir()) == []


def test_where_docker_keeps_them(tmp_path: Path) -> None:
    assert DockerContexts.of({"DOCKER_CONFIG": "/x"}).directory == Path("/x")
    assert DockerContexts.of({"HOME": "/home/u"}).directory == Path("/home/u/.docker")
