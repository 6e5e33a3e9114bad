"""Host ports, on loopback."""

from __future__ import annotations

import socket

import pytest

from pymachine.dockerapi.errors import EngineError, InvalidArgument
from pymachine.engine.network.base import PortBinding
from pymachine.engine.network.ports import PortTable

LOOPBACK = "127.0.0.1"


def table() -> PortTable:
    return PortTable(default_ip=LOOPBACK)


def test_a_free_port_is_picked_and_held() -> None:
    ports = table()
    (held,) = ports.take([PortBinding(80, "tcp")])
    assert held.binding.host_ip == LOOPBACK
    with pytest.raises(OSError, match="in use"):
        socket.create_server((LOOPBACK, held.binding.host_port))
    ports.give_back([held])
    socket.create_server((LOOPBACK, held.binding.host_port)).close()


def test_every_address_means_both_families() -> None:
    ports = PortTable(ipv6=True)
    held = ports.take([PortBinding(53, "udp")])
    try:
        assert [port.binding.host_ip for port in held] == ["0.0.0.0", "::"]
        assert held[0].binding.host_port == held[1].binding.host_port
    finally:
        ports.give_back(held)


def test_a_port_of_another_container_is_refused() -> None:
    ports = table()
    (held,) = ports.take([PortBinding(80, "tcp")])
    wanted = PortBinding(80, "tcp", host_port=held.binding.host_port)
    with pytest.raises(EngineError, match=f"Bind for {LOOPBACK}:{wanted.host_port} failed: port is already allocated"):
        ports.take([wanted])
    ports.give_back([held])
    ports.give_back(ports.take([wanted]))


def test_a_port_of_another_program_is_refused() -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EngineError, match=f"listen tcp4 {LOOPBACK}:{port}: bind: address already in use"):
            table().take([PortBinding(80, "tcp", host_port=port)])


def test_tcp_and_udp_ports_are_apart() -> None:
    ports = table()
    (held,) = ports.take([PortBinding(53, "tcp")])
    both = [held, *ports.take([PortBinding(53, "sctp", host_port=held.binding.host_port)])]
    ports.give_back(both)


def test_all_or_none() -> None:
    """When the second can't be had the first is free again."""
    ports = table()
    with socket.create_server((LOOPBACK, 0)) as other, socket.create_server((LOOPBACK, 0)) as free:
        number = free.getsockname()[1]
        free.close()
        with pytest.raises(EngineError):
            ports.take(
                [PortBinding(80, "tcp", host_port=number), PortBinding(81, "tcp", host_port=other.getsockname()[1])]
            )
        socket.create_server((LOOPBACK, number)).close()


def test_adopting_a_port_that_is_lost_is_noted_not_fatal() -> None:
    ports = table()
    with socket.create_server((LOOPBACK, 0)) as other:
        binding = PortBinding(80, "tcp", LOOPBACK, other.getsockname()[1])
        held, problems = ports.adopt([binding])
        assert len(problems) == 1
        with pytest.raises(EngineError, match="already allocated"):
            ports.take([binding])
        ports.give_back(held)


@pytest.mark.parametrize(
    "binding",
    [
        PortBinding(0, "tcp"),
        PortBinding(80, "icmp"),
        PortBinding(80, "tcp", "nonsense"),
        PortBinding(80, "tcp", "", 70000),
    ],
)
def test_nonsense_is_refused(binding: PortBinding) -> None:
    with pytest.raises(InvalidArgument):
        table().take([binding])


def test_an_address_that_is_not_ours_is_refused() -> None:
    with pytest.raises(EngineError, match="cannot assign requested address"):
        table().take([PortBinding(80, "tcp", "198.51.100.1", 8080)])
