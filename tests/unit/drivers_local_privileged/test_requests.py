"""What the privileged helper takes from an ordinary user, and what it does not."""

from __future__ import annotations

from typing import Any

import pytest

from pymachine.drivers.local.options import Options
from pymachine.drivers.local.privileged.requests import ImageRequest, MachineRequest, Refused, parse
from pymachine.drivers.options import to_json
from pymachine.machine.errors import InvalidOption

ID = "8c0e8505-a766-4aab-880f-d97cfa93ef1a"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGmWzXcJNUwgYkCsuHYHRMhGvBfKPSzMWTPjpAqMQ1ab"
GOOD: dict[str, Any] = {
    "call": 1,
    "operation": "create",
    "roots": ["", ""],
    "id": ID,
    "name": "web-1.example",
    "options": to_json(Options(cpus=1, memory="1g", mount=("/home/a:/mnt:ro",))),
    "resources": {"address": "10.99.0.2", "subnet": "10.99.0.0/24", "image": "a" * 64, "root": ID},
    "authorized_key": KEY,
    "timeout": 300.0,
}


def test_what_the_client_writes_is_taken() -> None:
    request = parse(GOOD)
    assert isinstance(request, MachineRequest)
    assert request.options == Options(cpus=1, memory="1g", mount=("/home/a:/mnt:ro",))
    assert (request.machine_id, request.authorized_key, request.timeout) == (ID, KEY, 300.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"operation": "shell"},
        {"operation": "__init__"},
        {"operation": None},
        {"id": "../../etc"},
        {"id": ID.upper()},
        {"id": f"{ID}\n"},
        {"id": ""},
        {"id": 7},
        {"name": "a/b"},
        {"name": "-a"},
        {"name": "a\nb"},
        {"name": "a" * 64},
        {"resources": {"address": "10.0.0.1; reboot"}},
        {"resources": {"subnet": "8.8.8.0/24"}},
        {"resources": {"subnet": "10.0.0.0/8"}},
        {"resources": {"image": "../x"}},
        {"resources": {"image": "a" * 63}},
        {"resources": {"root": "x"}},
        {"resources": {"address": ["10.0.0.1"]}},
        {"resources": {"path": "/etc"}},
        {"resources": []},
        {"options": {"cpus": {"a": 1}}},
        {"options": {"mount": [1]}},
        {"options": None},
        {"timeout": "inf"},
        {"timeout": float("nan")},
        {"timeout": -1},
        {"timeout": True},
        {"timeout": 1e9},
        {"authorized_key": f"{KEY}\nssh-rsa AAAA"},
        {"authorized_key": f'command="x" {KEY}'},
        {"authorized_key": "ssh-ed25519 ../../x"},
        {"authorized_key": 1},
        {"roots": ["/etc"]},
        {"roots": "/etc"},
        {"roots": [1, 2]},
        {"roots": None},
        {"directory": "/etc"},
    ],
    ids=str,
)
def test_anything_else_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        parse({**GOOD, **changes})


@pytest.mark.parametrize(
    "options",
    [
        {"unknown": 1},
        {"memory": "much"},
        {"mount": ["/a:/etc/../proc"]},
        {"mount": ["relative:/mnt"]},
        {"mount": ["/a:/var/lib/pyengine"]},
        {"subnet": "1.2.3.0/24"},
        {"ssh_user": "root; reboot"},
        {"image": "../../etc"},
        {"image": "-x"},
        {"cpus": -1},
        {"cpus": "many"},
    ],
    ids=str,
)
def test_wrong_options_are_told_as_such(options: dict[str, Any]) -> None:
    """They may be an honest mistake."""
    with pytest.raises(InvalidOption):
        parse({**GOOD, "options": options})


def test_images_are_asked_for_by_name_alone() -> None:
    request = parse({"call": 1, "operation": "image.build", "roots": ["", ""], "name": "debian-12", "force": True})
    assert request == ImageRequest("image.build", "debian-12", force=True, roots=("", ""))
    for name in ("", "../x", "a/b", "-f", "a b", None):
        with pytest.raises(Refused):
            parse({"operation": "image.remove", "roots": ["", ""], "name": name, "force": False})
    with pytest.raises(Refused, match="recipe"):
        parse({"operation": "image.build", "roots": ["", ""], "name": "x", "recipe": {"suite": "evil"}})
