"""Proxy commands."""

from __future__ import annotations

import pytest

from pymachine.machine.ssh.base import SSHEndpoint
from pymachine.machine.ssh.proxy import ProxyProcess, fill_in


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


def test_its_streams_are_the_connection_and_it_ends_with_it() -> None:
    proxy = ProxyProcess(SSHEndpoint("h", proxy_command="cat"))
    try:
        proxy.socket.sendall(b"hello")
        assert proxy.socket.recv(5) == b"hello"
    finally:
        proxy.close()
    assert proxy._process.returncode is not None
