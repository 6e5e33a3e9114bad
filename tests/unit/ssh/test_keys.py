"""Machine keys: made once, private, and refused when others could have read them."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pymachine.machine.errors import MachineError, SSHError
from pymachine.machine.ssh.keys import ensure_key


def keygen(path: Path, *options: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-f", path, *options], check=True, stdin=subprocess.DEVNULL)


def test_a_new_key_is_private_and_openssh_agrees_on_its_public_half(tmp_path: Path) -> None:
    path = tmp_path / "machine" / "id_ed25519"
    line = ensure_key(path)

    assert line.startswith("ssh-ed25519 ")
    assert line.endswith(" pymachine")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.with_name("id_ed25519.pub").read_text() == f"{line}\n"
    shown = subprocess.run(["ssh-keygen", "-y", "-f", path], capture_output=True, text=True, check=True).stdout
    assert shown.split()[:2] == line.split()[:2]
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["id_ed25519", "id_ed25519.pub"]


def test_an_existing_key_is_used_again(tmp_path: Path) -> None:
    assert ensure_key(tmp_path / "id") == ensure_key(tmp_path / "id")


def test_many_who_ask_at_once_get_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        lines = set(pool.map(lambda _: ensure_key(tmp_path / "id"), range(32)))

    assert len(lines) == 1


@pytest.mark.parametrize("options", [("-t", "rsa", "-b", "2048", "-m", "PEM"), ("-t", "ecdsa"), ("-t", "rsa")])
def test_keys_of_other_kinds_are_used_as_they_are(tmp_path: Path, options: tuple[str, ...]) -> None:
    keygen(tmp_path / "id", *options, "-N", "", "-C", "mine")
    expected = (tmp_path / "id.pub").read_text().strip()

    assert ensure_key(tmp_path / "id") == expected
    (tmp_path / "id.pub").unlink()
    assert ensure_key(tmp_path / "id").split()[:2] == expected.split()[:2]


def test_a_public_half_of_another_key_is_replaced(tmp_path: Path) -> None:
    line = ensure_key(tmp_path / "id")
    (tmp_path / "id.pub").write_text(ensure_key(tmp_path / "other"))

    assert ensure_key(tmp_path / "id") == line
    assert (tmp_path / "id.pub").read_text() == f"{line}\n"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_key_open_to_others_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    ensure_key(tmp_path / "id")
    (tmp_path / "id").chmod(mode)

    with pytest.raises(SSHError, match=f"permissions 0{mode:o} for '.*' are too open") as caught:
        ensure_key(tmp_path / "id")
    assert caught.value.hint == f"chmod 600 '{tmp_path}/id'"


def test_a_key_with_a_passphrase_needs_its_public_half(tmp_path: Path) -> None:
    keygen(tmp_path / "id", "-t", "ed25519", "-N", "secret")
    assert ensure_key(tmp_path / "id").startswith("ssh-ed25519 ")
    (tmp_path / "id.pub").unlink()

    with pytest.raises(SSHError, match=r"has a passphrase and no \.pub file") as caught:
        ensure_key(tmp_path / "id")
    assert "ssh-keygen -y" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"nonsense", b"-----BEGIN OPENSSH PRIVATE KEY-----\nxx\n"])
def test_what_is_no_key_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "id").write_bytes(content)
    (tmp_path / "id").chmod(0o600)

    with pytest.raises(SSHError, match="is not a usable SSH private key"):
        ensure_key(tmp_path / "id")
    assert (tmp_path / "id").read_bytes() == content


def test_a_directory_in_its_place_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "id").mkdir(mode=0o700)

    with pytest.raises(MachineError, match="Is a directory"):
        ensure_key(tmp_path / "id")
