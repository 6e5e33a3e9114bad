"""Finding containers, and keeping their documents."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from pymachine.dockerapi.errors import Conflict, InvalidArgument, NotFound
from pymachine.engine.containers.documents import Documents
from pymachine.engine.containers.model import Container, MountPoint
from pymachine.engine.containers.registry import Registry
from pymachine.engine.containers.state import Status
from pymachine.engine.network.base import Endpoint, PortBinding, Sandbox


def container(container_id: str, name: str) -> Container:
    return Container(container_id, name, 1.0, "sha256:x", {"Image": "x"}, {}, {}, {})


def registry() -> Registry:
    made = Registry()
    made.add(container("ab" + "0" * 62, "one"))
    made.add(container("ac" + "0" * 62, "two"))
    return made


@pytest.mark.parametrize("reference", ["ab" + "0" * 62, "ab0", "ab", "one", "/one"])
def test_found(reference: str) -> None:
    assert registry().get(reference).name == "one"


@pytest.mark.parametrize("reference", ["x", "", "/", "One"])
def test_not_found(reference: str) -> None:
    with pytest.raises(NotFound, match=f"No such container: {reference}"):
        registry().get(reference)


def test_an_ambiguous_prefix() -> None:
    with pytest.raises(InvalidArgument, match="multiple IDs found with provided prefix: a"):
        registry().get("a")


def test_names_are_unique_and_can_be_given_back() -> None:
    made = registry()
    with pytest.raises(Conflict, match=r'"/one" is already in use by container "ab0+"\. You have to remove'):
        made.reserve("one", "other")
    made.release("one", "other")
    assert made.name_taken("one")
    made.discard(made.get("one"))
    made.reserve("one", "other")
    with pytest.raises(NotFound):
        made.get("one")  # reserved by a container that is being made


def test_a_document_comes_back_as_it_was(tmp_path: Path) -> None:
    made = container("a" * 64, "kept")
    made.state.started(7, 2.5)
    made.state.to(Status.PAUSED)
    made.mounts = [MountPoint("tmpfs", "/t", options=("ro",)), MountPoint("volume", "/v", "/s", "n", anonymous=True)]
    endpoint = Endpoint("bridge", "id", "ep", "10.0.0.2", 24, aliases=("a", "b"), dns_names=("c",))
    made.sandbox = Sandbox(made.id, "bridge", [endpoint], [PortBinding(80, "tcp", "", 8080)])
    Documents(tmp_path).save(made)
    (loaded,) = Documents(tmp_path).load()
    for name in ("id", "name", "config", "state", "mounts", "sandbox", "created"):
        assert getattr(loaded, name) == getattr(made, name)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 99}', "\x00"])
def test_damaged_documents_hide_no_others(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    documents = Documents(tmp_path)
    documents.save(container("a" * 64, "good"))
    documents.save(container("b" * 64, "bad"))
    (tmp_path / ("b" * 64) / "config.json").write_text(text)
    (tmp_path / "unrelated").mkdir()
    (tmp_path / f".{'c' * 64}").mkdir()
    with caplog.at_level(logging.ERROR):
        assert [found.name for found in documents.load()] == ["good"]
    assert "bbbbbbbbbbbb skipped" in caplog.text
    assert documents.known() == {"a" * 64, "b" * 64}
    assert not (tmp_path / f".{'c' * 64}").exists()


def test_a_document_in_the_wrong_place_is_damaged(tmp_path: Path) -> None:
    documents = Documents(tmp_path)
    documents.save(container("a" * 64, "moved"))
    (tmp_path / ("a" * 64)).rename(tmp_path / ("b" * 64))
    assert list(documents.load()) == []


def test_a_save_never_shows_half_a_document(tmp_path: Path) -> None:
    documents = Documents(tmp_path)
    made = container("a" * 64, "x")
    documents.save(made)
    path = documents.folder(made.id) / "config.json"
    inode = path.stat().st_ino
    documents.save(made)
    assert path.stat().st_ino != inode
    assert json.loads(path.read_text())["name"] == "x"
    assert path.stat().st_mode & 0o777 == 0o600
    documents.flush(made.id)
    documents.remove(made.id)
    documents.remove(made.id)
    documents.flush(made.id)
