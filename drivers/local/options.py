"""The local driver's options, and the bind mounts written as ``SOURCE:TARGET[:ro]``."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from pymachine.drivers.options import option
from pymachine.machine.errors import InvalidOption

SUFFIXES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
SMALLEST_MEMORY = 64 << 20
"""Bytes; a host with systemd and the engine does not start in less."""
RESERVED_TARGETS = ("/", "/proc", "/sys", "/dev", "/run", "/etc/resolv.conf", "/var/lib/pyengine")
PRIVATE_NETWORKS = tuple(ipaddress.IPv4Network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))


@dataclass(frozen=True)
class Options:
    """How a local machine is made."""

    cpus: int = option(0, "number of CPUs; 0 for all", env="LOCAL_CPUS")
    memory: str = option("0", "memory limit such as 2g or 512m; 0 for none", env="LOCAL_MEMORY", metavar="SIZE")
    image: str = option("", "image name or digest; the default image if empty", env="LOCAL_IMAGE", metavar="NAME")
    build_image: bool = option(False, "build the image first when it is not there", env="LOCAL_BUILD_IMAGE")
    subnet: str = option(
        "", "private IPv4 network of the machine's bridge; picked free if empty", env="LOCAL_SUBNET", metavar="CIDR"
    )
    mount: tuple[str, ...] = option(
        (), "directory of this computer to mount: SOURCE:TARGET[:ro]", env="LOCAL_MOUNT", metavar="SOURCE:TARGET"
    )
    ssh_user: str = option("root", "user for SSH; made with sudo rights if not root", env="LOCAL_SSH_USER")

    def memory_bytes(self) -> int:
        """The memory limit in bytes, 0 for none. Raises `InvalidOption`."""
        return parse_memory(self.memory)

    def mounts(self) -> list[Mount]:
        """The bind mounts, read. Raises `InvalidOption`."""
        return [parse_mount(text) for text in self.mount]

    def network(self) -> ipaddress.IPv4Network | None:
        """The wanted subnet. Raises `InvalidOption`."""
        return parse_subnet(self.subnet) if self.subnet else None

    def problems(self) -> list[str]:
        """Everything wrong with the values themselves, each naming its flag."""
        found = []
        for check in (self.memory_bytes, self.mounts, self.network):
            try:
                check()
            except InvalidOption as error:
                found.append(str(error))
        if self.cpus < 0:
            found.append(f"--local-cpus: {self.cpus} is less than 0")
        if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", self.ssh_user):
            found.append(f"--local-ssh-user: {self.ssh_user!r} is not a user name")
        return found


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory or file of this computer, shown in the machine."""

    source: str
    target: str
    read_only: bool = False


def parse_memory(text: str) -> int:
    """Bytes of ``2g``, ``512m``, ``0``… Raises `InvalidOption`."""
    found = re.fullmatch(r"(\d{1,15})([kmgt]?)(?:i?b)?", text.strip().lower())
    if not found:
        raise InvalidOption(f"--local-memory: {text!r} is not a size such as 2g or 512m")
    size = int(found[1]) * SUFFIXES[found[2]]
    if 0 < size < SMALLEST_MEMORY:
        raise InvalidOption(f"--local-memory: {text} is too little, 64m is the least")
    return size


def parse_mount(text: str) -> Mount:
    """``SOURCE:TARGET[:ro|:rw]``, both absolute. Raises `InvalidOption`."""
    parts = text.split(":")
    mode = parts.pop() if len(parts) == 3 and parts[2] in ("ro", "rw") else "rw"
    if len(parts) != 2 or not all(part.startswith("/") and "\0" not in part for part in parts):
        raise InvalidOption(f"--local-mount: {text!r} is not SOURCE:TARGET[:ro] with absolute paths")
    source, target = parts
    if ".." in target.split("/"):
        raise InvalidOption(f"--local-mount: the target {target} has .. in it")
    if "/" + target.strip("/") in RESERVED_TARGETS:
        raise InvalidOption(f"--local-mount: {target} in the machine is not free to be mounted over")
    return Mount(source, target, mode == "ro")


def parse_subnet(text: str) -> ipaddress.IPv4Network:
    """A private IPv4 network of /16 to /29. Raises `InvalidOption`."""
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise InvalidOption(f"--local-subnet: {error}") from None
    if not any(network.subnet_of(private) for private in PRIVATE_NETWORKS):
        raise InvalidOption(f"--local-subnet: {text} is not a private network (10/8, 172.16/12 or 192.168/16)")
    if not 16 <= network.prefixlen <= 29:
        raise InvalidOption(f"--local-subnet: /{network.prefixlen} is not between /16 and /29")
    return network
