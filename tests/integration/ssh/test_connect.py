"""Reaching a host: waiting for it, knowing it again, being let in, or saying what stands in the way."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pymachine.machine.errors import DeadlineExceeded, SSHError
from pymachine.machine.ssh import paramiko_session
from pymachine.machine.ssh.base import SSHEndpoint, SSHSession
from pymachine.machine.ssh.connect import open_session
from pymachine.machine.ssh.keys import ensure_key
from pymachine.machine.ssh.openssh import command_line
from support.sshd import SSHServer, free_port, new_host_key, ssh_server, start, stop

pytestmark = pytest.mark.root


def silent(text: str) -> None:
    """Report to nobody."""


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[SSHServer]:
    with ssh_server(tmp_path / "sshd") as running:
        yield running


def answer(endpoint: SSHEndpoint, *, timeout: float = 30) -> str:
    with open_session(endpoint, timeout=timeout, report=silent) as session:
        return session.run("echo here").stdout


def test_a_host_that_is_not_there_yet_is_waited_for(fresh: SSHServer) -> None:
    stop(fresh.process)
    told: list[str] = []
    started = []
    timer = threading.Timer(0.4, lambda: started.append(start(fresh.directory, fresh.port)))
    timer.start()
    try:
        with open_session(fresh.endpoint(), timeout=30, report=told.append) as session:
            assert session.run("echo up").stdout == "up\n"
    finally:
        timer.join()
        stop(started[0])
    assert len(told) == 1
    assert told[0].startswith(f"Waiting for SSH on 127.0.0.1, port {fresh.port}: Connection re")  # refused, reset


def test_a_closed_port_is_given_up_at_the_deadline(tmp_path: Path) -> None:
    endpoint = SSHEndpoint("127.0.0.1", port=free_port(), known_hosts=tmp_path / "known_hosts")

    with pytest.raises(DeadlineExceeded, match="while connecting to 127.0.0.1 port .*: Connection refused"):
        open_session(endpoint, timeout=0.3, report=silent)


def test_a_port_that_swallows_packets_is_given_up_at_the_deadline(tmp_path: Path) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):  # fills the queue: the kernel drops what comes next
            endpoint = SSHEndpoint("127.0.0.1", port=port, known_hosts=tmp_path / "known_hosts")
            with pytest.raises(DeadlineExceeded, match="while connecting to .*: no answer"):
                open_session(endpoint, timeout=0.5, report=silent)


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.0 400 Bad Request\r\n\r\n", b"S"])
def test_a_server_that_is_not_ssh_is_named_in_its_stage(tmp_path: Path, greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            held = []
            while True:
                try:
                    held.append(listener.accept()[0])
                except OSError:
                    return
                held[-1].sendall(greeting)

        thread = threading.Thread(target=serve)
        thread.start()
        endpoint = SSHEndpoint("127.0.0.1", port=listener.getsockname()[1], known_hosts=tmp_path / "known_hosts")
        try:
            stage = "exchanging host keys" if greeting else "waiting for the SSH banner"
            with pytest.raises(DeadlineExceeded, match=stage):
                open_session(endpoint, timeout=0.6, report=silent)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_host_name_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises((DeadlineExceeded, SSHError), match="no-such-host.invalid"):
        open_session(SSHEndpoint("no-such-host.invalid"), timeout=0.3, report=silent)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_host_keys_of_every_kind_are_pinned_and_known_again(fresh: SSHServer, kind: str) -> None:
    new_host_key(fresh.directory, kind)
    fresh.restart()
    endpoint = fresh.endpoint()

    assert answer(endpoint) == "here\n"
    assert endpoint.known_hosts
    pinned = endpoint.known_hosts.read_text()
    assert kind in pinned
    assert answer(endpoint) == "here\n"
    assert endpoint.known_hosts.read_text() == pinned


def test_the_pinned_kind_is_asked_for_when_the_host_has_several(fresh: SSHServer) -> None:
    new_host_key(fresh.directory, "rsa")
    fresh.restart()
    assert answer(fresh.endpoint()) == "here\n"
    config = fresh.directory / "sshd_config"
    (fresh.directory / "host_key").rename(fresh.directory / "old_key")
    new_host_key(fresh.directory, "ed25519")
    config.write_text(config.read_text() + f"HostKey {fresh.directory}/old_key\n")
    fresh.restart()

    assert answer(fresh.endpoint()) == "here\n"


def test_a_changed_host_key_is_refused_at_once_by_both_clients(fresh: SSHServer) -> None:
    endpoint = fresh.endpoint()
    answer(endpoint)
    new_host_key(fresh.directory)
    fresh.restart()

    with pytest.raises(SSHError, match="has changed") as caught:
        open_session(endpoint, timeout=600, report=silent)
    assert f"{endpoint.known_hosts} (line 1)" in str(caught.value)
    assert "sed -i '1d'" in caught.value.hint
    result = subprocess.run(command_line(endpoint, ["true"], interactive=False), capture_output=True, text=True)
    assert result.returncode == 255
    assert "HOST IDENTIFICATION HAS CHANGED" in result.stderr
    assert "Accepted publickey" not in fresh.log().split("Server listening")[-1]

    subprocess.run(["/bin/sh", "-c", caught.value.hint.split(": ", 1)[1]], check=True)
    assert answer(endpoint) == "here\n"


def test_a_refused_key_is_named_in_its_stage(fresh: SSHServer, tmp_path: Path) -> None:
    ensure_key(tmp_path / "other")
    endpoint = dataclasses.replace(fresh.endpoint(), key_path=tmp_path / "other")

    with pytest.raises(DeadlineExceeded, match="authenticating as root.*does not accept the private key .*/other"):
        open_session(endpoint, timeout=1.5, report=silent)
    assert fresh.log().count("Failed publickey") + fresh.log().count("Connection closed by authenticating") <= 4


def test_a_key_that_is_installed_late_is_accepted(fresh: SSHServer) -> None:
    keys = fresh.directory / "authorized_keys"
    line = keys.read_text()
    keys.write_text("")
    timer = threading.Timer(0.5, keys.write_text, [line])
    timer.start()
    try:
        assert answer(fresh.endpoint()) == "here\n"
    finally:
        timer.join()


def test_unusable_keys_are_errors_at_once(fresh: SSHServer, tmp_path: Path) -> None:
    def attempt(path: Path) -> None:
        open_session(dataclasses.replace(fresh.endpoint(), key_path=path), timeout=600, report=silent)

    with pytest.raises(SSHError, match="there is no private key"):
        attempt(tmp_path / "none")
    ensure_key(tmp_path / "open")
    (tmp_path / "open").chmod(0o644)
    with pytest.raises(SSHError, match="too open"):
        attempt(tmp_path / "open")
    (tmp_path / "bad").touch(0o600)
    with pytest.raises(SSHError, match="not a usable"):
        attempt(tmp_path / "bad")


@pytest.mark.parametrize("options", [("-t", "rsa", "-m", "PEM"), ("-t", "ecdsa"), ("-t", "rsa")])
def test_user_keys_of_every_kind_are_accepted(fresh: SSHServer, tmp_path: Path, options: tuple[str, ...]) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", *options, "-N", "", "-f", key], check=True)
    (fresh.directory / "authorized_keys").write_text((tmp_path / "key.pub").read_text())

    assert answer(dataclasses.replace(fresh.endpoint(), key_path=key)) == "here\n"


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty ssh-agent, and an empty home."""
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE)
    try:
        assert process.stdout
        process.stdout.readline()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        monkeypatch.setenv("HOME", str(tmp_path))
        yield
    finally:
        process.terminate()
        process.communicate()


def test_a_key_with_a_passphrase_is_used_from_the_agent(
    fresh: SSHServer, tmp_path: Path, agent: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (fresh.directory / "authorized_keys").write_text((tmp_path / "locked.pub").read_text())
    subprocess.run(["ssh-add", "-q", key], check=True)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", key], check=True)
    endpoint = dataclasses.replace(fresh.endpoint(), key_path=key)

    assert answer(endpoint) == "here\n"
    assert answer(dataclasses.replace(endpoint, key_path=None)) == "here\n"
    subprocess.run(["ssh-add", "-q", "-D"], check=True)
    with pytest.raises(SSHError, match="has a passphrase and is not in the SSH agent"):
        open_session(endpoint, timeout=600, report=silent)


def test_default_keys_are_used_and_their_absence_named(fresh: SSHServer, tmp_path: Path, agent: None) -> None:
    endpoint = dataclasses.replace(fresh.endpoint(), key_path=None)
    with pytest.raises(SSHError, match="no SSH key to log in"):
        open_session(endpoint, timeout=600, report=silent)
    line = ensure_key(tmp_path / ".ssh" / "id_ed25519")
    (fresh.directory / "authorized_keys").write_text(f"{line}\n")

    assert answer(endpoint) == "here\n"


def test_with_many_keys_in_the_agent_the_host_is_not_made_to_hang_up(
    fresh: SSHServer, tmp_path: Path, agent: None
) -> None:
    for number in range(7):
        ensure_key(tmp_path / f"k{number}")
        subprocess.run(["ssh-add", "-q", tmp_path / f"k{number}"], check=True)

    with pytest.raises(DeadlineExceeded, match="does not accept any of 5 keys"):
        open_session(dataclasses.replace(fresh.endpoint(), key_path=None), timeout=0.5, report=silent)
    assert "Too many authentication failures" not in fresh.log()


@pytest.mark.parametrize(
    ("configuration", "says"),
    [
        ("PubkeyAuthentication no\nPasswordAuthentication yes\n", "accepts no public keys, only: .*password"),
        (
            "AuthenticationMethods publickey,password\nPasswordAuthentication yes\n",
            "asks for more than a key: password",
        ),
    ],
)
def test_a_host_that_wants_something_else_is_an_error_at_once(tmp_path: Path, configuration: str, says: str) -> None:
    with ssh_server(tmp_path, extra=configuration) as server, pytest.raises(SSHError, match=says):
        open_session(server.endpoint(), timeout=600, report=silent)


def test_a_host_that_hangs_up_during_authentication_is_named_in_its_stage(tmp_path: Path) -> None:
    with ssh_server(tmp_path, extra="MaxAuthTries 1") as server:
        ensure_key(tmp_path / "other")
        endpoint = dataclasses.replace(server.endpoint(), key_path=tmp_path / "other")
        with pytest.raises(DeadlineExceeded, match="authenticating as root"):
            open_session(endpoint, timeout=0.5, report=silent)


RELAY = (
    "import socket,sys,threading,os; s=socket.create_connection((sys.argv[1],int(sys.argv[2])));"
    "t=threading.Thread(target=lambda:[os.write(1,d) for d in iter(lambda:s.recv(65536),b'')],daemon=True);"
    "t.start();[s.sendall(d) for d in iter(lambda:os.read(0,65536),b'')]"
)
"""A program like ``nc HOST PORT``."""


def relayed(endpoint: SSHEndpoint) -> SSHEndpoint:
    return dataclasses.replace(endpoint, proxy_command=f'{sys.executable} -c "{RELAY}" %h %p')


def test_a_proxy_command_carries_the_connection(fresh: SSHServer, tmp_path: Path) -> None:
    with open_session(relayed(fresh.endpoint()), timeout=30, report=silent) as session:
        assert session.run("echo here").stdout == "here\n"
        session.put(b"x" * (2 << 20), str(tmp_path / "file"))
        with pytest.raises(DeadlineExceeded):
            session.run("sleep 60", timeout=0.2)
        assert session.run("echo on").stdout == "on\n"

    assert (tmp_path / "file").stat().st_size == 2 << 20


def test_a_stuck_proxy_command_holds_nobody_up(
    fresh: SSHServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paramiko_session, "CLOSING", 0.2)
    monkeypatch.setattr(paramiko_session, "STEP", 0.5)
    endpoint = relayed(fresh.endpoint())
    actions: tuple[Callable[[SSHSession], object], ...] = (
        lambda session: session.put(b"x" * (32 << 20), str(tmp_path / "file"), timeout=0.3),
        lambda session: session.run("echo here", timeout=0.5),
    )
    began = time.monotonic()
    for action in actions:
        with open_session(endpoint, timeout=30, report=silent) as session:
            session.run("true", timeout=30)
            for child in children_of_this_process():
                if (
                    "-c" in (words := Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0"))
                    and RELAY in words
                ):
                    os.kill(child, signal.SIGSTOP)
            with pytest.raises((DeadlineExceeded, SSHError)):
                action(session)
    assert time.monotonic() - began < 40
    assert not (tmp_path / "file").exists()


def children_of_this_process() -> list[int]:
    tasks = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return [int(pid) for task in tasks for pid in task.read_text().split()]


def test_a_proxy_command_that_fails_is_named_in_its_stage(fresh: SSHServer) -> None:
    endpoint = dataclasses.replace(fresh.endpoint(), proxy_command="false")

    with pytest.raises(DeadlineExceeded, match="banner.*closed before the banner"):
        open_session(endpoint, timeout=0.3, report=silent)


def test_openssh_pins_what_paramiko_then_trusts_and_the_reverse(fresh: SSHServer) -> None:
    endpoint = fresh.endpoint()
    assert endpoint.known_hosts
    for first, second in (("openssh", "paramiko"), ("paramiko", "openssh")):
        endpoint.known_hosts.unlink(missing_ok=True)
        for client in (first, second, first):
            if client == "paramiko":
                assert answer(endpoint) == "here\n"
            else:
                words = command_line(endpoint, ["echo 'a  b'; exit 3"], interactive=False)
                result = subprocess.run(words, capture_output=True, text=True)
                assert (result.returncode, result.stdout) == (3, "a  b\n"), result.stderr
        assert endpoint.known_hosts.read_text().count("\n") == 1


def test_openssh_trusts_the_pin_when_the_address_has_changed(fresh: SSHServer) -> None:
    endpoint = fresh.endpoint()
    answer(endpoint)
    assert endpoint.known_hosts
    pinned = endpoint.known_hosts.read_text()
    endpoint.known_hosts.write_text(pinned.replace("127.0.0.1", "10.9.8.7"))
    words = command_line(endpoint, ["true"], interactive=False)

    assert "StrictHostKeyChecking=yes" in words
    assert subprocess.run(words, capture_output=True).returncode == 0
    assert answer(endpoint) == "here\n"
