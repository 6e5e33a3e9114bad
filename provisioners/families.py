"""Families of distributions: how each installs packages, and what the engine's needs are called there.

Package names are those of the distributions' own archives. Locks of package managers are waited out (`Run.lock`).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

from pymachine.machine.errors import ProvisionError
from pymachine.provisioners.actions import Action, Run
from pymachine.provisioners.osrelease import OSRelease


class Family(Protocol):
    """One way to install packages."""

    name: ClassVar[str]
    program: ClassVar[str]
    """The package manager."""

    def packages(self, os: OSRelease) -> Mapping[str, Sequence[str]]:
        """Need (``python``, ``iptables``, ``seccomp``) to package names, the first that can be installed being
        wanted; a distribution without a Python that is new enough has no name for it."""
        ...

    def install(self, packages: Sequence[Sequence[str]]) -> Sequence[Action]:
        """Actions that install one of each."""
        ...


class Debian:
    """Debian, Ubuntu, Raspberry Pi OS, Mint and what else is built on them."""

    name: ClassVar[str] = "debian"
    program: ClassVar[str] = "apt-get"
    pythons: ClassVar[Mapping[str, Sequence[str]]] = {
        "stretch": (), "buster": (), "bullseye": (), "bionic": (), "focal": (), "jammy": ("python3.11",)
    }  # fmt: skip
    """By code name, where ``python3`` is too old; jammy's is in universe."""

    def packages(self, os: OSRelease) -> Mapping[str, Sequence[str]]:
        python = self.pythons.get(os.codename, ("python3",))
        return {"python": python, "iptables": ("iptables",), "seccomp": ("libseccomp2",)}

    def install(self, packages: Sequence[Sequence[str]]) -> Sequence[Action]:
        lock = "Could not get lock|Unable to (acquire|lock)|is another process using it"
        quiet = ("env", "DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_SUSPEND=1", "apt-get", "-q", "-y")
        return (
            Run((*quiet, "update"), attempts=3, lock=lock),
            Run((*quiet, "install", "--no-install-recommends", *_first(packages)), attempts=2, lock=lock),
        )


class RedHat:
    """RHEL and its kin (Alma, Rocky, CentOS Stream, Oracle), Fedora, Amazon Linux."""

    name: ClassVar[str] = "redhat"
    program: ClassVar[str] = "dnf"

    def packages(self, os: OSRelease) -> Mapping[str, Sequence[str]]:
        iptables = "iptables" if _major(os) <= 8 and os.id not in ("fedora", "amzn") else "iptables-nft"
        return {"python": self._python(os), "iptables": (iptables,), "seccomp": ("libseccomp",)}

    def _python(self, os: OSRelease) -> Sequence[str]:
        """RHEL has 3.12 beside its own Python from 8.10 and 9.4 on, 3.11 from 8.8 and 9.2 on."""
        major = _major(os)
        if os.id == "fedora":
            return ("python3",) if major >= 37 else ()
        if os.id == "amzn":
            return ("python3.11",) if major >= 2023 else ()
        if major >= 10:
            return ("python3",)
        return ("python3.12", "python3.11") if major >= 8 else ()

    def install(self, packages: Sequence[Sequence[str]]) -> Sequence[Action]:
        """dnf itself waits for whoever has its lock."""
        return _each_choice(("dnf", "-y", "-q", "--setopt=install_weak_deps=False", "install"), packages)


class SUSE:
    """openSUSE Leap and Tumbleweed, SLES."""

    name: ClassVar[str] = "suse"
    program: ClassVar[str] = "zypper"

    def packages(self, os: OSRelease) -> Mapping[str, Sequence[str]]:
        """The 15 series has 3.6, and newer ones beside it (in SLES in its module "Python 3")."""
        python = ("python3",) if os.id == "opensuse-tumbleweed" or _major(os) >= 16 else ("python311", "python312")
        return {"python": python if _major(os) != 12 else (), "iptables": ("iptables",), "seccomp": ("libseccomp2",)}

    def install(self, packages: Sequence[Sequence[str]]) -> Sequence[Action]:
        lock = "System management is locked"
        command = ("zypper", "--non-interactive", "--gpg-auto-import-keys", "install", "--no-recommends")
        return _each_choice(command, packages, lock=lock, attempts=2)


class Alpine:
    """Alpine, with OpenRC and busybox."""

    name: ClassVar[str] = "alpine"
    program: ClassVar[str] = "apk"

    def packages(self, os: OSRelease) -> Mapping[str, Sequence[str]]:
        """3.18 was the first with Python 3.11; edge calls itself by a version that does not exist yet."""
        release = tuple(int(part) for part in os.version_id.split(".")[:2] if part.isdigit())
        python = () if release and release < (3, 18) else ("python3",)
        return {"python": python, "iptables": ("iptables",), "seccomp": ("libseccomp",)}

    def install(self, packages: Sequence[Sequence[str]]) -> Sequence[Action]:
        return (Run(("apk", "add", "--update-cache", *_first(packages)), attempts=2, lock="Unable to lock database"),)


class Arch:
    """Arch and what is built on it."""

    name: ClassVar[str] = "arch"
    program: ClassVar[str] = "pacman"

    def packages(self, os: OSRelease) -> Mapping[str, Sequence[str]]:
        return {"python": ("python",), "iptables": ("iptables",), "seccomp": ("libseccomp",)}

    def install(self, packages: Sequence[Sequence[str]]) -> Sequence[Action]:
        """Not ``-Syu``: to upgrade the whole system, its kernel with it, is the owner's business."""
        command = ("pacman", "-Sy", "--noconfirm", "--noprogressbar", "--needed", *_first(packages))
        return (Run(command, attempts=2, lock="unable to lock database"),)


FAMILIES: tuple[Family, ...] = (Debian(), RedHat(), SUSE(), Alpine(), Arch())
_IDS = {
    "debian": ("debian", "ubuntu", "raspbian", "linuxmint", "pop"),
    "redhat": ("rhel", "fedora", "centos", "almalinux", "rocky", "ol", "amzn"),
    "suse": ("suse", "opensuse", "opensuse-leap", "opensuse-tumbleweed", "sles", "sled"),
    "alpine": ("alpine",),
    "arch": ("arch", "archarm"),
}
"""``ID`` of os-release(5), by family."""


def family_of(os: OSRelease) -> Family:
    """The family of a distribution; raises `ProvisionError` naming what was found when it is not known."""
    for name in (os.id, *os.id_like):
        for family in FAMILIES:
            if name in _IDS[family.name]:
                return family
    raise ProvisionError(
        f"OS type not recognized: {os.pretty_name} (ID={os.id})",
        hint="Known are Debian, Ubuntu, RHEL, Fedora, Amazon Linux, SUSE, Alpine, Arch and their relatives.",
    )


def _first(packages: Sequence[Sequence[str]]) -> list[str]:
    return [choices[0] for choices in packages]


def _each_choice(
    command: tuple[str, ...], packages: Sequence[Sequence[str]], *, lock: str = "", attempts: int = 1
) -> Sequence[Action]:
    """One run for all packages that have one name, and one for each that may have another."""
    certain = _first([choices for choices in packages if len(choices) == 1])
    actions = [Run((*command, *certain), attempts=attempts, lock=lock)] if certain else []
    for choices in packages:
        if len(choices) > 1:
            line = " || ".join(shlex.join((*command, name)) for name in choices)
            actions.append(Run(shell=line, attempts=attempts, lock=lock))
    return actions


def _major(os: OSRelease) -> int:
    """The version's first number; a distribution without one (rolling) counts as the newest."""
    first = os.version_id.split(".")[0]
    return int(first) if first.isdigit() else 9999
