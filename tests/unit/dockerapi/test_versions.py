"""API versions in paths."""

import pytest

from pymachine.dockerapi import versions
from pymachine.dockerapi.errors import InvalidArgument


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/_ping", ((1, 47), "/_ping")),
        ("/v1.24/info", ((1, 24), "/info")),
        ("/v1.47/containers/v1.24/json", ((1, 47), "/containers/v1.24/json")),
        ("/v1.41", ((1, 41), "/")),
        ("/version", ((1, 47), "/version")),
        ("/v1.41x/info", ((1, 47), "/v1.41x/info")),
    ],
)
def test_a_version_prefix_is_taken_off(path: str, expected: tuple[tuple[int, int], str]) -> None:
    assert versions.split(path) == expected


def test_what_is_too_new_is_refused_in_the_words_that_clients_know() -> None:
    with pytest.raises(InvalidArgument) as caught:
        versions.split("/v1.48/info")
    assert str(caught.value) == "client version 1.48 is too new. Maximum supported API version is 1.47"


def test_what_is_too_old_is_refused_in_the_words_that_clients_know() -> None:
    with pytest.raises(InvalidArgument) as caught:
        versions.split("/v1.23/info")
    assert str(caught.value).startswith("client version 1.23 is too old. Minimum supported API version is 1.24")
