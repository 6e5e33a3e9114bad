"""Sessions with a real sshd: commands, streams, files, and what goes wrong in between."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pymachine.machine.errors import DeadlineExceeded, MissingRequirement, RemoteCommandFailed, SSHError
from pymachine.machine.ssh import sockets
from pymachine.machine.ssh.base import SSHSession
from pymachine.machine.ssh.connect import open_session
from support.sshd import SSHServer, ssh_server

pytestmark = pytest.mark.root


def silent(text: str) -> None:
    """Report to nobody."""


@pytest.fixture(scope="module")
def session(server: SSHServer) -> Iterator[SSHSession]:
    with open_session(server.endpoint(), timeout=30, report=silent) as opened:
        yield opened


def test_both_streams_and_the_status_come_back(session: SSHSession) -> None:
    result = session.run("echo out; echo 'err ü' >&2; exit 7", check=False)

    assert (result.status, result.stdout, result.stderr) == (7, "out\n", "err ü\n")


def test_one_connection_serves_many_commands(session: SSHSession) -> None:
    connections = {session.run("echo $SSH_CONNECTION").stdout for _ in range(3)}

    assert len(connections) == 1


def test_a_failing_command_says_what_it_said(session: SSHSession) -> None:
    with pytest.raises(RemoteCommandFailed, match="status 3.*: no luck") as caught:
        session.run("echo trying; echo no luck >&2; exit 3")
    assert caught.value.status == 3


def test_a_command_killed_by_a_signal_has_no_status(session: SSHSession) -> None:
    assert session.run("kill -9 $$", check=False).status == -1
    assert session.run("echo still here").stdout == "still here\n"


def test_much_on_both_streams_at_once_does_not_deadlock(session: SSHSession) -> None:
    size = 8 << 20
    result = session.run(f"head -c {size} /dev/zero | tr '\\0' a & head -c {size} /dev/zero | tr '\\0' b >&2; wait")

    assert result.stdout == "a" * size
    assert result.stderr == "b" * size


def test_standard_input_is_echoed_back_whole(session: SSHSession) -> None:
    data = "".join(random.Random(1).choices("abc\n", k=4 << 20))

    assert session.run("tee /dev/stderr", stdin=data.encode()).stdout == data


def test_a_command_that_ignores_its_input_still_ends(session: SSHSession) -> None:
    assert session.run("exit 4", stdin=b"x" * (8 << 20), check=False).status == 4


def test_without_input_a_command_sees_its_end(session: SSHSession) -> None:
    assert session.run("cat; echo done").stdout == "done\n"


def test_output_that_is_no_text_is_still_returned(session: SSHSession) -> None:
    assert session.run(r"printf '\377\376x'").stdout == "\ufffd\ufffdx"


def test_shell_words_arrive_as_written(session: SSHSession) -> None:
    assert session.run("""printf '%s|' 'a b' "it's" '$HOME' '`id`' \\\\; cat <<'E'\n$x "y"\nE""").stdout == (
        'a b|it\'s|$HOME|`id`|\\|$x "y"\n'
    )


def test_a_command_that_takes_too_long_is_given_up_and_the_session_goes_on(session: SSHSession) -> None:
    with pytest.raises(DeadlineExceeded, match="sleep 60"):
        session.run("sleep 60", timeout=0.3)
    with pytest.raises(DeadlineExceeded, match="while running"):
        session.run("yes", timeout=0.3)
    assert session.run("echo on").stdout == "on\n"


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_a_file_is_put_whole_with_its_mode(session: SSHSession, tmp_path: Path, mode: int) -> None:
    data = random.Random(2).randbytes(3 << 20)
    path = tmp_path / "it's a file"
    session.put(data, str(path), mode=mode)
    assert path.read_bytes() == data
    assert path.stat().st_mode & 0o7777 == mode

    session.put(io.BytesIO(b"short"), str(path), mode=mode)
    assert path.read_bytes() == b"short"
    assert os.listdir(tmp_path) == ["it's a file"]


def test_a_private_file_is_private_from_its_first_byte(session: SSHSession, tmp_path: Path) -> None:
    seen: set[int] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            for entry in os.scandir(tmp_path):
                try:
                    seen.add(entry.stat().st_mode & 0o777)
                except FileNotFoundError:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        session.put(b"k" * (4 << 20), str(tmp_path / "key"), mode=0o600)
    finally:
        stop.set()
        watcher.join()
    assert seen == {0o600}


def test_a_file_that_cannot_be_put_is_an_error_and_leaves_nothing(session: SSHSession, tmp_path: Path) -> None:
    with pytest.raises(RemoteCommandFailed, match="writing .*/none/x.*No such file"):
        session.put(b"x", f"{tmp_path}/none/x")
    (tmp_path / "dir").mkdir()
    with pytest.raises(RemoteCommandFailed, match="writing"):
        session.put(b"x" * 1000, f"{tmp_path}/dir")
    assert os.listdir(tmp_path) == ["dir"]


def test_root_needs_no_sudo(session: SSHSession) -> None:
    assert session.run("echo $SUDO_USER; id -u", sudo=True).stdout == "\n0\n"


def test_another_user_becomes_root_by_sudo(server: SSHServer, sudoer: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with open_session(server.endpoint(user=sudoer), timeout=30, report=silent) as session:
        assert session.run("id -un").stdout == f"{sudoer}\n"
        assert session.run("id -u; cat; exit 0", sudo=True, stdin=b"in").stdout == "0\nin"
        assert session.run("exit 5", sudo=True, check=False).status == 5
        session.put(b"data", str(tmp_path / "file"), mode=0o640, sudo=True)
        with pytest.raises(RemoteCommandFailed, match="Permission denied"):
            session.put(b"data", str(tmp_path / "file"))

    assert (tmp_path / "file").read_bytes() == b"data"
    assert (tmp_path / "file").owner() == "root"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_without_the_right_to_sudo_the_remedy_is_named(server: SSHServer, user: str) -> None:
    with open_session(server.endpoint(user=user), timeout=30, report=silent) as session:
        with pytest.raises(MissingRequirement, match="may not use sudo") as caught:
            session.run("id -u", sudo=True)
        assert "NOPASSWD" in caught.value.hint
        assert session.run("id -u", sudo=True, check=False).status != 0


def kill_connections(server: SSHServer) -> None:
    for pid in server.children():
        os.kill(pid, signal.SIGKILL)


def test_a_connection_lost_in_a_command_is_named(tmp_path: Path) -> None:
    with ssh_server(tmp_path) as server:
        session = open_session(server.endpoint(), timeout=30, report=silent)
        killer = threading.Timer(0.2, kill_connections, [server])
        killer.start()
        try:
            with pytest.raises(SSHError, match="was lost.* while running: sleep 60"):
                session.run("sleep 60")
        finally:
            killer.join()
        with pytest.raises(SSHError, match="was lost"):
            session.run("true")
        with pytest.raises(SSHError, match="was lost"):
            session.put(b"x", str(tmp_path / "x"))
        session.close()
        session.close()


def test_a_host_that_vanishes_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "SILENCE", 2)
    with ssh_server(tmp_path) as server:
        rule = ["INPUT", "-i", "lo", "-p", "tcp", "--dport", str(server.port), "-j", "DROP"]
        with open_session(server.endpoint(), timeout=30, report=silent) as session:
            subprocess.run(["iptables", "-w", "-I", *rule], check=True)
            try:
                with pytest.raises(SSHError, match="was lost"):
                    session.run("sleep 60", timeout=60)
            finally:
                subprocess.run(["iptables", "-w", "-D", *rule], check=True)


def test_a_server_that_says_nothing_more_is_given_up_in_time(tmp_path: Path) -> None:
    """Its process is stopped, so the kernel goes on to acknowledge what is sent."""
    actions: tuple[Callable[[SSHSession], object], ...] = (
        lambda session: session.run("echo here", timeout=0.3),
        lambda session: session.put(b"x" * (32 << 20), str(tmp_path / "file"), timeout=0.3),
    )
    with ssh_server(tmp_path) as server:
        for action in actions:
            with open_session(server.endpoint(), timeout=30, report=silent) as session:
                for pid in server.children():
                    os.kill(pid, signal.SIGSTOP)
                with pytest.raises(DeadlineExceeded, match="while running on 127.0.0.1: "):
                    action(session)
                kill_connections(server)
    assert not (tmp_path / "file").exists()


def test_a_connection_lost_in_a_transfer_leaves_the_old_file(tmp_path: Path) -> None:
    class Tripwire(io.BytesIO):
        """Kills the connection when half of it has been read."""

        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > (8 << 20):
                kill_connections(server)
            return super().read(size)

    target = tmp_path / "files" / "target"
    target.parent.mkdir()
    target.write_text("old")
    with ssh_server(tmp_path / "sshd") as server:
        session = open_session(server.endpoint(), timeout=30, report=silent)
        with session, pytest.raises(SSHError, match="was lost"):
            session.put(Tripwire(b"x" * (16 << 20)), str(target))
        end = time.monotonic() + 10
        while os.listdir(target.parent) != ["target"] and time.monotonic() < end:
            time.sleep(0.02)

    assert os.listdir(target.parent) == ["target"]
    assert target.read_text() == "old"
