"""Host keys: pinned once, then held to."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from pymachine.machine.errors import MachineError, SSHError
from pymachine.machine.ssh.base import SSHEndpoint
from pymachine.machine.ssh.known_hosts import KnownHosts, fingerprint, host_name

ED = "ssh-ed25519"
KEY = base64.b64encode(b"first key").decode()
OTHER = base64.b64encode(b"other key").decode()


def endpoint(path: Path | None, host: str = "10.0.0.1", port: int = 22) -> SSHEndpoint:
    return SSHEndpoint(host, port=port, known_hosts=path)


def test_first_contact_pins_in_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "machine" / "known_hosts"
    KnownHosts(endpoint(path)).verify(ED, KEY)

    assert path.read_text() == f"10.0.0.1 {ED} {KEY}\n"
    assert path.stat().st_mode & 0o777 == 0o600
    KnownHosts(endpoint(path)).verify(ED, KEY)
    assert path.read_text().count("\n") == 1


def test_looking_makes_nothing(tmp_path: Path) -> None:
    known = KnownHosts(endpoint(tmp_path / "none" / "known_hosts"))

    assert known.types() == []
    assert known.alias == ""
    assert not (tmp_path / "none").exists()


def test_a_changed_key_is_refused_with_file_line_and_remedy(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"# a comment\n\n10.0.0.1 {ED} {KEY}\n")

    with pytest.raises(SSHError, match="has changed") as caught:
        KnownHosts(endpoint(path)).verify(ED, OTHER)
    message = str(caught.value)
    assert f"{path} (line 3)" in message
    assert fingerprint(KEY) in message
    assert fingerprint(OTHER) in message
    assert f"sed -i '3d' '{path}'" in caught.value.hint
    assert OTHER not in path.read_text()


def test_a_key_of_another_type_is_a_changed_one(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"10.0.0.1 {ED} {KEY}\n")

    with pytest.raises(SSHError, match="has changed"):
        KnownHosts(endpoint(path)).verify("ssh-rsa", OTHER)


def test_the_pin_holds_when_the_machines_address_changes(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    KnownHosts(endpoint(path)).verify(ED, KEY)
    moved = endpoint(path, "10.9.9.9", 2222)

    KnownHosts(moved).verify(ED, KEY)
    with pytest.raises(SSHError, match="has changed"):
        KnownHosts(moved).verify(ED, OTHER)
    assert KnownHosts(moved).alias == "10.0.0.1"


def test_a_revoked_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"@revoked * {ED} {KEY}\n@cert-authority * {ED} {OTHER}\n")

    with pytest.raises(SSHError, match="revoked"):
        KnownHosts(endpoint(path)).verify(ED, KEY)
    KnownHosts(endpoint(path)).verify(ED, base64.b64encode(b"third").decode())


@pytest.mark.parametrize("line", ["short", "a b", "\0\0", "\xff\xfe x", "@revoked"])
def test_damaged_lines_count_for_nothing(tmp_path: Path, line: str) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"{line}\n", encoding="latin-1")

    KnownHosts(endpoint(path)).verify(ED, KEY)


def test_in_the_users_file_only_lines_of_the_host_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / ".ssh" / "known_hosts"
    path.parent.mkdir()
    path.write_text(f"other,10.0.0.2 {ED} {OTHER}\n*.example.org,!bad.example.org {ED} {KEY}\n[h]:23 {ED} {KEY}\n")

    def lines(host: str, port: int = 22) -> list[int]:
        return [key.line for key in KnownHosts(endpoint(None, host, port)).keys]

    assert lines("10.0.0.2") == [1]
    assert lines("a.example.org") == [2]
    assert lines("A.Example.org") == [2]
    assert lines("bad.example.org") == []
    assert lines("h") == []
    assert lines("h", 23) == [3]
    assert KnownHosts(endpoint(None, "other")).alias == ""


def test_hashed_lines_of_openssh_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / ".ssh" / "known_hosts"
    path.parent.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "k"], check=True)
    path.write_text("[10.0.0.1]:2222 " + (tmp_path / "k.pub").read_text())
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, capture_output=True)

    assert path.read_text().startswith("|1|")
    assert len(KnownHosts(endpoint(None, "10.0.0.1", 2222)).keys) == 1
    assert KnownHosts(endpoint(None, "10.0.0.1", 22)).keys == []


def test_fingerprints_are_openssh_s(tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "k"], check=True)
    shown = subprocess.run(["ssh-keygen", "-l", "-f", tmp_path / "k"], capture_output=True, text=True, check=True)

    assert fingerprint((tmp_path / "k.pub").read_text().split()[1]) == shown.stdout.split()[1]
    assert fingerprint("x") == "unreadable"


def test_a_file_that_cannot_be_used_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="Is a directory"):
        KnownHosts(endpoint(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="Not a directory"):
        KnownHosts(endpoint(tmp_path / "file" / "known_hosts")).verify(ED, KEY)


def test_names_are_written_as_openssh_does() -> None:
    assert host_name(SSHEndpoint("h")) == "h"
    assert host_name(SSHEndpoint("h", port=2222)) == "[h]:2222"
