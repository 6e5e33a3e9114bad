"""Families of distributions: how each installs packages, and what the engine's needs are called there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from pymachine.machine.errors import ProvisionError
from pymachine.provisioners.actions import Action, Run
from pymachine.provisioners.osrelease import OSRelease


class Family(Protocol):
    """One way to install packages."""

    name: ClassVar[str]
    packages: ClassVar[dict[str, str]]
    """Need (``python``, ``iptables``, ``seccomp``) to package name."""

    def install(self, packages: Sequence[str]) -> Sequence[Action]: ...


class Debian:
    """Debian, Ubuntu, Raspberry Pi OS and what is built on them."""

    name: ClassVar[str] = "debian"
    packages: ClassVar[dict[str, str]] = {"python": "python3", "iptables": "iptables", "seccomp": "libseccomp2"}

    def install(self, packages: Sequence[str]) -> Sequence[Action]:
        """Waits for another's package lock (unattended upgrades on first boot) for five minutes."""
        options = ("-q", "-y", "-o", "DPkg::Lock::Timeout=300")
        quiet = ("env", "DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_SUSPEND=1")
        return (
            # The lists' own lock has no time-out option (apt.conf(5)), so update is tried again.
            Run((*quiet, "apt-get", *options, "update"), attempts=20),
            Run((*quiet, "apt-get", *options, "install", "--no-install-recommends", *packages), attempts=3),
        )


FAMILIES: dict[str, Family] = {"debian": Debian()}
_BY_ID = {"debian": "debian", "ubuntu": "debian", "raspbian": "debian", "linuxmint": "debian", "pop": "debian"}


def family_of(os: OSRelease) -> Family:
    """The family of a distribution; raises `ProvisionError` naming what was found when it is not known."""
    for name in (os.id, *os.id_like):
        if name in _BY_ID:
            return FAMILIES[_BY_ID[name]]
    raise ProvisionError(
        f"OS type not recognized: {os.pretty_name} (ID={os.id})",
        hint="pymachine provisions Debian, Ubuntu and their relatives in this version.",
    )
