"""User data as cloud-init itself reads it: ours and the user's as one, and valid by cloud-init's own schema."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymachine.drivers.amazonec2.userdata import user_data
from support import cloudinit

KEY = "ssh-ed25519 AAAA"
MINE = """#cloud-config
hostname: theirs
packages: [vim]
ssh_authorized_keys: [ssh-ed25519 BBBB]
users: [{name: bob}]
write_files: [{path: /etc/motd, content: "grüße"}]
"""


def test_lists_are_joined_and_our_values_stand(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text(MINE, encoding="utf-8")
    text = user_data(name="m", public_key=KEY, make_user="me", extra_path=str(tmp_path / "mine"))
    config, others = cloudinit.read(text, tmp_path)
    assert config["hostname"] == "m"
    assert config["ssh_authorized_keys"] == [KEY, "ssh-ed25519 BBBB"]
    users = [user if isinstance(user, str) else user["name"] for user in config["users"]]
    assert users == ["default", "me", "bob"]
    assert config["packages"] == ["vim"]
    assert config["write_files"] == [{"path": "/etc/motd", "content": "grüße"}]
    assert others == []


def test_a_script_of_the_users_runs_beside_ours(tmp_path: Path) -> None:
    script = "#!/bin/sh\necho 'grüße' >/run/greeting\n"
    (tmp_path / "mine").write_text(script, encoding="utf-8")
    text = user_data(name="m", public_key=KEY, make_user="", extra_path=str(tmp_path / "mine"))
    config, others = cloudinit.read(text, tmp_path)
    assert config["ssh_authorized_keys"] == [KEY]
    assert [(kind, body) for kind, body in others] == [("text/x-shellscript", script)]


@pytest.mark.parametrize(
    ("make_user", "key", "expires_at"), [("", "", ""), ("me", "", ""), ("me", KEY, "2031-02-03T04:05:06Z")]
)
def test_ours_alone_is_valid(tmp_path: Path, make_user: str, key: str, expires_at: str) -> None:
    text = user_data(name="m", public_key=key, make_user=make_user, extra_path="", expires_at=expires_at)
    config, others = cloudinit.read(text, tmp_path)
    assert config["hostname"] == "m"
    assert ("ssh_authorized_keys" in config) == bool(key)
    assert others == []


def test_what_cloud_init_does_not_take_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("#cloud-config\npackages: 7\n")
    text = user_data(name="m", public_key=KEY, make_user="", extra_path=str(tmp_path / "mine"))
    with pytest.raises(AssertionError, match="packages"):
        cloudinit.read(text, tmp_path)
