"""Host ports: who has which. A published port is held by a bound socket of the daemon as long as it is published,
so that no other program can take it unnoticed, and so that the forwarder (``forwarder.py``) can serve it."""

from __future__ import annotations

import errno
import os
import random
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from pymachine.dockerapi.errors import EngineError, InvalidArgument
from pymachine.engine.network.base import PortBinding

PROTOCOLS = ("tcp", "udp", "sctp")
_ANY = ("0.0.0.0", "::")
_ATTEMPTS = 20
_BACKLOG = 1024


@dataclass(slots=True)
class HeldPort:
    """One taken port and the socket that holds it (none for sctp, which the kernel may not have)."""

    binding: PortBinding
    socket: socket.socket | None


class PortTable:
    """All ports that this engine's containers have. For the event loop's thread; never blocks."""

    def __init__(self, *, default_ip: str = "", ipv6: bool = True) -> None:
        self._default_ip = default_ip
        self._ipv6 = ipv6
        self._held: dict[tuple[str, int], list[HeldPort]] = {}

    def take(self, ports: Sequence[PortBinding]) -> list[HeldPort]:
        """Take all *ports* or none; the result has one entry for each host address and the port really taken.

        Raises `EngineError` as Docker words it, `InvalidArgument` for what is no port or address.
        """
        taken: list[HeldPort] = []
        try:
            for binding in ports:
                taken += self._take_one(binding)
        except BaseException:
            self.give_back(taken)
            raise
        return taken

    def adopt(self, ports: Sequence[PortBinding]) -> tuple[list[HeldPort], list[str]]:
        """Take what live containers had before the daemon restarted. A port that another program has taken
        meanwhile is noted as ours all the same (its rules still stand): the second list says which."""
        taken, problems = [], []
        for binding in ports:
            try:
                held = HeldPort(binding, _hold(binding))
            except EngineError as error:
                problems.append(str(error))
                held = HeldPort(binding, None)
            self._note(held)
            taken.append(held)
        return taken, problems

    def give_back(self, ports: Sequence[HeldPort]) -> None:
        """Free *ports*; fine when done before."""
        for held in ports:
            key = (held.binding.protocol, held.binding.host_port)
            remaining = [other for other in self._held.get(key, []) if other is not held]
            if remaining:
                self._held[key] = remaining
            else:
                self._held.pop(key, None)
            if held.socket is not None:
                held.socket.close()

    def _take_one(self, binding: PortBinding) -> list[HeldPort]:
        _check(binding)
        addresses = self._addresses(binding.host_ip)
        if binding.host_port:
            return self._take_at(binding, addresses)
        for attempt in range(_ATTEMPTS):
            try:
                return self._take_at(replace(binding, host_port=self._free_port(binding, addresses[0])), addresses)
            except EngineError:
                # Free on one address and not on the other, or taken in this very moment.
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    def _take_at(self, binding: PortBinding, addresses: list[str]) -> list[HeldPort]:
        taken: list[HeldPort] = []
        try:
            for address in addresses:
                exact = replace(binding, host_ip=address)
                if self._conflicts(exact):
                    shown = f"[{address}]" if ":" in address else address
                    raise EngineError(f"Bind for {shown}:{binding.host_port} failed: port is already allocated")
                held = HeldPort(exact, _hold(exact))
                self._note(held)
                taken.append(held)
        except BaseException:
            self.give_back(taken)
            raise
        return taken

    def _addresses(self, host_ip: str) -> list[str]:
        if host_ip:
            return [str(ip_address(host_ip))]
        if self._default_ip:
            return [self._default_ip]
        return ["0.0.0.0", "::"] if self._ipv6 else ["0.0.0.0"]

    def _conflicts(self, binding: PortBinding) -> bool:
        family = ":" in binding.host_ip
        return any(
            (":" in other.binding.host_ip) == family
            and (other.binding.host_ip == binding.host_ip or binding.host_ip in _ANY or other.binding.host_ip in _ANY)
            for other in self._held.get((binding.protocol, binding.host_port), [])
        )

    def _note(self, held: HeldPort) -> None:
        self._held.setdefault((held.binding.protocol, held.binding.host_port), []).append(held)

    def _free_port(self, binding: PortBinding, address: str) -> int:
        if binding.protocol == "sctp":
            low, high = _ephemeral_range()
            return random.randint(low, high)
        with _bound(replace(binding, host_ip=address)) as probe:
            return int(probe.getsockname()[1])


def _check(binding: PortBinding) -> None:
    if binding.protocol not in PROTOCOLS:
        raise InvalidArgument(f"invalid proto: {binding.protocol}")
    if not 0 < binding.container_port < 65536 or not 0 <= binding.host_port < 65536:
        raise InvalidArgument(f"invalid port specification: {binding.host_port}:{binding.container_port}")
    try:
        if binding.host_ip:
            ip_address(binding.host_ip)
    except ValueError:
        raise InvalidArgument(f"invalid IP address: {binding.host_ip}") from None


def _hold(binding: PortBinding) -> socket.socket | None:
    return None if binding.protocol == "sctp" else _bound(binding)


def _bound(binding: PortBinding) -> socket.socket:
    """A socket bound to the host's side of *binding*, listening if it is tcp: only then does the kernel refuse
    another program that binds with SO_REUSEADDR (socket(7)). We need that option for connections in TIME_WAIT."""
    six = ":" in binding.host_ip
    kind = socket.SOCK_STREAM if binding.protocol == "tcp" else socket.SOCK_DGRAM
    held = socket.socket(socket.AF_INET6 if six else socket.AF_INET, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        if six:
            held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if binding.protocol == "tcp":
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((binding.host_ip or "0.0.0.0", binding.host_port))
        if binding.protocol == "tcp":
            held.listen(_BACKLOG)
    except OSError as error:
        held.close()
        raise _refused(binding, error) from None
    return held


def _refused(binding: PortBinding, error: OSError) -> EngineError:
    six = ":" in binding.host_ip
    where = f"[{binding.host_ip}]" if six else binding.host_ip or "0.0.0.0"
    reasons = {
        errno.EADDRINUSE: "address already in use",
        errno.EADDRNOTAVAIL: "cannot assign requested address",
        errno.EACCES: "permission denied",
    }
    reason = reasons.get(error.errno or 0, os.strerror(error.errno or 0).lower())
    network = f"{binding.protocol}{6 if six else 4}"
    return EngineError(f"listen {network} {where}:{binding.host_port}: bind: {reason}")


def _ephemeral_range() -> tuple[int, int]:
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        low, high = file.read().split()
    return int(low), int(high)


def host_has_ipv6() -> bool:
    """Whether sockets can be bound to IPv6 addresses here."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True
