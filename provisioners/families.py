"""Families of distributions: how each installs packages, and what the engine's needs are called there.

Package names are those of the distributions' own archives; where one is not obvious, its source stands with it.
Locks of package managers are waited out (`Run.lock`).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

from pymachine.machine.errors import ProvisionError
from pymachine.provisioners.actions import Action, Run
from pymachine.provisioners.facts import Facts
from pymachine.provisioners.osrelease import OSRelease


class Family(Protocol):
    """One way to install packages."""

    name: ClassVar[str]
    program: ClassVar[str]
    """The package manager."""

    def packages(self, facts: Facts) -> Mapping[str, Sequence[str]]:
        """Need (``python``, ``iptables``, ``seccomp``, ``addrtype``) to package names, the first that can be installed
        being wanted; a distribution without a Python that is new enough has no name for it."""
        ...

    def install(self, packages: Sequence[Sequence[str]]) -> Sequence[Action]:
        """Actions that install one of each."""
        ...


class Debian:
    """Debian, Ubuntu, Raspberry Pi OS, Mint and what else is built on them."""

    name: ClassVar[str] = "debian"
    program: ClassVar[str] = "apt-get"
    too_old: ClassVar[Sequence[str]] = (
        *("stretch", "buster", "bullseye"),
        *("ascii", "beowulf", "chimaera"),
        *("xenial", "bionic", "focal"),
    )
    """Code names of Debian, Devuan and Ubuntu that have no Python 3.11 under any name."""

    def packages(self, facts: Facts) -> Mapping[str, Sequence[str]]:
        """jammy's ``python3`` is 3.10; ``python3.11`` is in its universe (as 3.11.0~rc1, which is enough for us)."""
        codename = facts.os.codename
        python = () if codename in self.too_old else ("python3.11",) if codename == "jammy" else ("python3",)
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

    def packages(self, facts: Facts) -> Mapping[str, Sequence[str]]:
        """``iptables`` is a package of its own up to RHEL 8; later it is a name that two others provide, of which
        ``iptables-nft`` is the one that is everywhere (Fedora Changes/iptables-nft-default; RHEL 9's release notes).

        RHEL 10 has netfilter's rarer matches in ``kernel-modules-extra``, which iptables-nft only recommends
        (docker-ce-packaging issue 1340). It must be that of the kernel that runs.
        """
        os = facts.os
        iptables = "iptables" if _major(os) <= 8 and os.id not in ("fedora", "amzn") else "iptables-nft"
        return {
            "python": self._python(os),
            "iptables": (iptables,),
            "seccomp": ("libseccomp",),
            "addrtype": (f"kernel-modules-extra-{facts.kernel}",),
        }

    def _python(self, os: OSRelease) -> Sequence[str]:
        """RHEL has 3.12 beside its own Python from 8.10 and 9.4 on, 3.11 from 8.8 and 9.2 on ("Installing and using
        dynamic programming languages"), and 3.12 as its own in 10; Amazon Linux 2023 has 3.11 to 3.14 beside 3.9 (its
        user guide, "Python in AL2023"), of which an image may be locked to a release that knows the older ones only.
        """
        major = _major(os)
        if os.id == "fedora":
            return ("python3",) if major >= 37 else ()
        if os.id == "amzn":
            return ("python3.13", "python3.12", "python3.11") if major >= 2023 else ()
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

    def packages(self, facts: Facts) -> Mapping[str, Sequence[str]]:
        return {"python": self._python(facts.os), "iptables": ("iptables",), "seccomp": ("libseccomp2",)}

    def _python(self, os: OSRelease) -> Sequence[str]:
        """The 15 series has 3.6, and from its fourth service pack on 3.11 and newer ones beside it (in SLES in its
        module "Python 3": linuxpunx.com, "Incompatible changes ahead for Public Cloud SDKs"); later ``python3`` is a
        name that the current one provides. Tumbleweed and MicroOS have dates for versions."""
        version = _version(os)
        if version >= (16,):
            return ("python3",)
        return ("python311", "python312", "python313") if version >= (15, 4) else ()

    def install(self, packages: Sequence[Sequence[str]]) -> Sequence[Action]:
        lock = "System management is locked"
        command = ("zypper", "--non-interactive", "--gpg-auto-import-keys", "install", "--no-recommends")
        return _each_choice(command, packages, lock=lock, attempts=2)


class Alpine:
    """Alpine, with OpenRC and busybox."""

    name: ClassVar[str] = "alpine"
    program: ClassVar[str] = "apk"

    def packages(self, facts: Facts) -> Mapping[str, Sequence[str]]:
        """3.18 was the first with Python 3.11; edge calls itself by a version that does not exist yet, like
        ``3.20.0_alpha20240329``."""
        python = ("python3",) if _version(facts.os) >= (3, 18) else ()
        return {"python": python, "iptables": ("iptables",), "seccomp": ("libseccomp",)}

    def install(self, packages: Sequence[Sequence[str]]) -> Sequence[Action]:
        return (Run(("apk", "add", "--update-cache", *_first(packages)), attempts=2, lock="Unable to lock database"),)


class Arch:
    """Arch and what is built on it."""

    name: ClassVar[str] = "arch"
    program: ClassVar[str] = "pacman"

    def packages(self, facts: Facts) -> Mapping[str, Sequence[str]]:
        """``iptables`` uses nftables by default since 2026 (Arch's news); it replaces what was ``iptables-nft``."""
        return {"python": ("python",), "iptables": ("iptables",), "seccomp": ("libseccomp",)}

    def install(self, packages: Sequence[Sequence[str]]) -> Sequence[Action]:
        """As of the last time that the owner upgraded, for newer packages may want newer libraries than are there
        (ArchWiki, "System maintenance": partial upgrades are unsupported). Only where mirrors no longer have those,
        or nothing was ever fetched, is the list fetched anew.

        Not ``-Syu``: to upgrade the whole system, its kernel with it, is the owner's business.
        """
        words = ("--noconfirm", "--noprogressbar", "--needed", *_first(packages))
        line = " || ".join(shlex.join(("pacman", how, *words)) for how in ("-S", "-Sy"))
        return (Run(shell=line, attempts=2, lock="unable to lock database"),)


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
    return _version(os)[0]


def _version(os: OSRelease) -> tuple[int, ...]:
    """The version's numbers; a distribution without any (rolling) counts as the newest."""
    return tuple(map(int, re.findall(r"\d+", os.version_id))) or (9999,)
