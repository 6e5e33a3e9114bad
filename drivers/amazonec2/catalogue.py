"""Distributions by name: where their newest image is told, who publishes it, and who logs in.

Sources: the publishers' pages on their SSM public parameters and owner accounts (Canonical "Find Ubuntu images on
AWS", wiki.debian.org/Cloud/AmazonEC2Image, Amazon Linux 2023 user guide, rockylinux.org, wiki.almalinux.org).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Distribution:
    """One release of one distribution. ``{arch}`` stands for the publisher's word for the architecture."""

    owner: str
    """The publisher's account."""
    pattern: str
    """Names of its images."""
    user: str
    parameter: str = ""
    """SSM public parameter that holds the newest image's id; empty when there is none."""
    words: tuple[str, str] = ("amd64", "arm64")
    """For x86_64 and arm64."""

    def fill(self, text: str, architecture: str) -> str:
        """*text* for an architecture, by EC2's name."""
        return text.replace("{arch}", self.words[architecture == "arm64"])


_CANONICAL, _DEBIAN, _AMAZON = "099720109477", "136693071363", "137112412989"
_RPM = ("x86_64", "aarch64")

DISTRIBUTIONS: Mapping[str, Distribution] = {
    "ubuntu-24.04": Distribution(
        _CANONICAL,
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-{arch}-server-*",
        "ubuntu",
        "/aws/service/canonical/ubuntu/server/24.04/stable/current/{arch}/hvm/ebs-gp3/ami-id",
    ),
    "ubuntu-22.04": Distribution(
        _CANONICAL,
        "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-{arch}-server-*",
        "ubuntu",
        "/aws/service/canonical/ubuntu/server/22.04/stable/current/{arch}/hvm/ebs-gp2/ami-id",
    ),
    "debian-12": Distribution(
        _DEBIAN, "debian-12-{arch}-*", "admin", "/aws/service/debian/release/12/latest/{arch}"
    ),
    "debian-13": Distribution(
        _DEBIAN, "debian-13-{arch}-*", "admin", "/aws/service/debian/release/13/latest/{arch}"
    ),
    "amazon-2023": Distribution(
        _AMAZON,
        "al2023-ami-2023.*-{arch}",
        "ec2-user",
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{arch}",
        ("x86_64", "arm64"),
    ),
    "rocky-9": Distribution("792107900819", "Rocky-9-EC2-Base-9.*.{arch}", "rocky", words=_RPM),
    "alma-9": Distribution("764336703387", "AlmaLinux OS 9.* {arch}", "ec2-user", words=_RPM),
}  # fmt: skip


def names() -> tuple[str, ...]:
    """The names, in order."""
    return tuple(DISTRIBUTIONS)


def user_of(owner: str, name: str) -> str:
    """Who logs into an image that was given by id: by its publisher, else by what its name says."""
    for distribution in DISTRIBUTIONS.values():
        if distribution.owner == owner:
            return distribution.user
    for word, user in (("ubuntu", "ubuntu"), ("debian", "admin"), ("rocky", "rocky"), ("fedora", "fedora")):
        if word in name.lower():
            return user
    return "ec2-user" if any(word in name.lower() for word in ("amzn", "al2023", "alma", "rhel")) else "ubuntu"
