"""Proxy commands."""

from __future__ import annotations

import sys
import threading

import pytest

from pymachine.machine.errors import SSHError
from pymachine.machine.ssh.base import SSHEndpoint
from pymachine.machine.ssh.proxy import ProxyProcess, fill_in, words_of


@pytest.mark.parametrize(
    ("command", "filled"),
    [
        ("nc %h %p", "nc 10.0.0.1 2222"),
        ("ssh -W %h:%p jump", "ssh -W 10.0.0.1:2222 jump"),
        ("x %r 100%% %q", "x me 100% %q"),
    ],
)
def test_tokens_are_replaced(command: str, filled: str) -> None:
    assert fill_in(SSHEndpoint("10.0.0.1", user="me", port=2222, proxy_command=command)) == filled


def test_a_host_cannot_smuggle_in_a_command() -> None:
    assert fill_in(SSHEndpoint("$(id)", proxy_command="nc %h")) == "nc '$(id)'"


@pytest.fixture(params=["linux", "win32"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs are given the socket itself, or pipes to and from it."""
    monkeypatch.setattr(sys, "platform", request.param)


@pytest.mark.usefixtures("system")
def test_its_streams_are_the_connection_and_it_ends_with_it() -> None:
    sent = bytes(range(256)) * 4096
    proxy = ProxyProcess(SSHEndpoint("h", proxy_command="cat"))
    try:
        threading.Thread(target=proxy.socket.sendall, args=(sent,), daemon=True).start()
        received = b""
        while len(received) < len(sent):
            received += proxy.socket.recv(1 << 16)
        assert received == sent
    finally:
        proxy.close()
    assert proxy._process.returncode is not None


@pytest.mark.usefixtures("system")
def test_the_connection_ends_with_the_program_whose_last_words_are_kept() -> None:
    proxy = ProxyProcess(SSHEndpoint("h", proxy_command="sh -c 'echo no way >&2'"))
    try:
        assert proxy.socket.recv(5) == b""
        assert proxy.said() == "no way"
    finally:
        proxy.close()


def test_a_program_that_is_not_there_is_named_by_the_shell() -> None:
    proxy = ProxyProcess(SSHEndpoint("h", proxy_command="/no/such/program %h"))
    try:
        assert proxy.socket.recv(5) == b""
        assert "/no/such/program" in proxy.said()
    finally:
        proxy.close()


def test_a_program_that_is_not_there_is_named_without_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SSHError, match="cannot start the proxy command: No such file"):
        ProxyProcess(SSHEndpoint("h", proxy_command="/no/such/program %h"))


def test_words_on_windows_keep_their_backslashes() -> None:
    command = r"""'C:\Program Files\OpenSSH\ssh.exe' -o "A=b c" -W '['10.0.0.1']':22 -- C:\hop # no comment"""
    expected = [r"C:\Program Files\OpenSSH\ssh.exe", "-o", "A=b c", "-W", "[10.0.0.1]:22", "--", r"C:\hop"]
    assert words_of(command) == [*expected, "#", "no", "comment"]
