"""What a machine's own layer holds before its first boot: its identity, keys, network and cgroup access.

The layer is written in a folder beside and renamed, so that it is there whole or not at all. It is never
written again: from its first boot on it is the machine's, and a link planted there could lead out of it.
Sources: systemd.network(5), systemd.unit(5), sshd(8), machine-id(5), hosts(5).
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from pymachine.drivers.local.guestuser import GuestUser, account_files
from pymachine.drivers.local.layout import MachinePaths
from pymachine.drivers.local.subnets import Lease

CGROUPS_UNIT = """[Unit]
Description=Let this host manage its own cgroup controllers
Documentation=man:systemd-nspawn(1)
DefaultDependencies=no
Before=sysinit.target

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'for tree in /sys/fs/cgroup/*; do \\
  [ -L "$tree" ] || ! [ -e "$tree/cgroup.procs" ] || mount -o remount,bind,rw "$tree"; done'
"""
"""systemd-nspawn mounts v1 controllers read-only; the v2 tree is a machine's own from the start."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a machine is."""

    machine_id: str
    hostname: str
    lease: Lease
    authorized_key: str
    user: str


def write_layer(paths: MachinePaths, image_root: Path, identity: Identity) -> str:
    """Write the upper layer unless it is there; returns the SSH host key's public line."""
    public = paths.directory / "ssh_host_ed25519_key.pub"
    if paths.upper.exists():
        return public.read_text().strip()
    new = paths.directory / "upper.new"
    shutil.rmtree(new, ignore_errors=True)
    _directories(new)
    private_key, public_key = _host_key(identity.hostname)
    public.write_text(public_key + "\n")
    for name, text, mode in _files(identity, private_key, public_key):
        _put(new, name, text, mode)
    for unit, target in (
        ("/lib/systemd/system/systemd-networkd.service", "multi-user"),
        ("/etc/systemd/system/pymachine-cgroups.service", "sysinit"),
    ):
        os.symlink(unit, new / "etc/systemd/system" / f"{target}.target.wants" / os.path.basename(unit))
    _authorize(new, image_root, identity)
    os.rename(new, paths.upper)
    return public_key


def _directories(top: Path) -> None:
    """A directory in the upper layer takes the place of the image's, so modes must be the same."""
    for name in ("", "etc", "etc/ssh", "etc/systemd", "etc/systemd/network", "etc/systemd/system"):
        _directory(top / name)
    for target in ("multi-user", "sysinit"):
        _directory(top / "etc/systemd/system" / f"{target}.target.wants")


def _directory(path: Path, mode: int = 0o755) -> None:
    path.mkdir()
    path.chmod(mode)  # the umask has no say


def _files(identity: Identity, private_key: str, public_key: str) -> list[tuple[str, str, int]]:
    lease = identity.lease
    hosts = f"127.0.0.1\tlocalhost\n127.0.1.1\t{identity.hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n"
    # A hardware address that goes with the address: whoever gets it after a removed machine is found at once, while
    # this computer and other machines still know the former neighbour (for 30 s, RFC 4861's REACHABLE).
    hardware = "02:71:" + ":".join(f"{byte:02x}" for byte in lease.address.packed)
    network = (
        f"[Match]\nName=host0\n\n[Link]\nMACAddress={hardware}\n\n[Network]\nAddress={lease.address}/{lease.subnet.prefixlen}\n"
        f"Gateway={lease.gateway}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nLLDP=no\n"
    )
    return [
        ("etc/hostname", identity.hostname + "\n", 0o644),
        ("etc/hosts", hosts, 0o644),
        ("etc/machine-id", identity.machine_id.replace("-", "").lower() + "\n", 0o444),
        ("etc/resolv.conf", "", 0o644),
        ("etc/ssh/ssh_host_ed25519_key", private_key, 0o600),
        ("etc/ssh/ssh_host_ed25519_key.pub", public_key + "\n", 0o644),
        ("etc/systemd/network/10-host0.network", network, 0o644),
        ("etc/systemd/system/pymachine-cgroups.service", CGROUPS_UNIT, 0o644),
    ]


def _authorize(top: Path, image_root: Path, identity: Identity) -> None:
    """Let the key in as the user, who is made when it is not root."""
    user = GuestUser(identity.user, 0, "/root")
    if identity.user != "root":
        user, files = account_files(image_root, identity.user)
        for name, text, mode in files:
            _put(top, name, text, mode)
    home = top / user.home.lstrip("/")
    if not home.parent.exists():
        _directory(home.parent)
    for directory in (home, home / ".ssh"):
        _directory(directory, 0o700)
    _put(top, f"{user.home.lstrip('/')}/.ssh/authorized_keys", identity.authorized_key.strip() + "\n", 0o600)
    for path in (home, home / ".ssh", home / ".ssh/authorized_keys"):
        os.chown(path, user.uid, user.uid)


def _put(top: Path, name: str, text: str, mode: int) -> None:
    path = top / name
    if not path.parent.is_dir():
        _directory(path.parent)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with open(handle, "w", encoding="utf-8") as file:
        os.fchmod(handle, mode)
        file.write(text)


def _host_key(hostname: str) -> tuple[str, str]:
    """A new ed25519 key: private file, public line."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return private, f"{public} root@{hostname}"


def resolv_conf(text: str, uplink: str = "") -> str:
    """This computer's resolvers, for a machine: those on loopback are out of its reach.

    *uplink* is what a local resolver itself asks (systemd-resolved's file).
    """
    for source in (text, uplink):
        lines = [line.split() for line in source.splitlines()]
        usable = [f for f in lines if len(f) > 1 and (f[0] != "nameserver" or not f[1].startswith(("127.", "::1")))]
        if any(fields[0] == "nameserver" for fields in usable):
            kept = [fields for fields in usable if fields[0] in ("nameserver", "search", "options")]
            return "".join(" ".join(fields) + "\n" for fields in kept)
    return "# this computer has no name server that a machine can reach\n"
