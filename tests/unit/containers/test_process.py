"""The program and its environment: image and request joined by Docker's rules."""

from __future__ import annotations

import pytest

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.engine.containers import process

IMAGE = {"Entrypoint": ["entry"], "Cmd": ["cmd"], "Env": ["A=image", "B=image"], "Labels": {"a": "1"}, "User": "me"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, ("entry", "cmd")),
        ({"Cmd": ["mine"]}, ("entry", "mine")),
        ({"Entrypoint": ["other"]}, ("other",)),
        ({"Entrypoint": ["other"], "Cmd": ["mine"]}, ("other", "mine")),
        ({"Entrypoint": [""], "Cmd": ["mine"]}, ("mine",)),
        ({"Entrypoint": [], "Cmd": ["mine"]}, ("mine",)),
    ],
)
def test_entry_point_and_command(given: dict[str, list[str]], words: tuple[str, ...]) -> None:
    assert process.arguments(process.complete(given, IMAGE)) == words


def test_no_command_at_all() -> None:
    with pytest.raises(InvalidArgument, match="no command specified"):
        process.arguments(process.complete({}, {}))


def test_what_the_image_provides() -> None:
    merged = process.complete({"Labels": {"b": "2"}, "Env": ["B=mine", "C"]}, IMAGE)
    assert merged["Labels"] == {"a": "1", "b": "2"}
    assert merged["User"] == "me"
    assert merged["Env"] == ["A=image", "B=mine", "C"]


def test_the_environment() -> None:
    env = process.environment({"Env": ["A=1", "PATH=/bin", "B=x=y"], "Tty": True}, "host")
    assert env == ("PATH=/bin", "HOSTNAME=host", "TERM=xterm", "A=1", "B=x=y")


def test_a_bare_name_takes_a_variable_away() -> None:
    assert process.environment({"Env": ["A=1"]}, "h", ["A", "B=2"]) == (process.DEFAULT_PATH, "HOSTNAME=h", "B=2")


def test_a_check_without_a_test_changes_the_images_timing() -> None:
    image = {"Healthcheck": {"Test": ["CMD", "x"], "Retries": 3}}
    merged = process.complete({"Healthcheck": {"Retries": 5, "Interval": 0}}, image)
    assert merged["Healthcheck"] == {"Test": ["CMD", "x"], "Retries": 5}
