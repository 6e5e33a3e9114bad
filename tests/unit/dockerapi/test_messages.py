"""Values of requests and answers."""

from __future__ import annotations

from pymachine.dockerapi.messages import json_response


def test_half_a_surrogate_pair_spoils_no_answer() -> None:
    """JSON may hold one, UTF-8 may not; one such label must not make the list of all containers fail."""
    assert json_response({"a": "\ud800", "b": "ä"}).body == '{"a":"?","b":"ä"}\n'.encode()
