"""The libvirt driver's options: what is taken, and what each wrong value is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pymachine.drivers.libvirt.options import Nic, Options, Share, parse_network, parse_share, parse_size
from pymachine.machine.errors import InvalidOption


def test_the_defaults_are_fine() -> None:
    assert Options().problems() == []


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"cpus": 0}, "--libvirt-cpus"),
        ({"memory": "1"}, "--libvirt-memory"),
        ({"disk": "lots"}, "--libvirt-disk"),
        ({"extra_disk": ("1k",)}, "--libvirt-extra-disk"),
        ({"domain_type": "xen"}, "--libvirt-domain-type"),
        ({"cpu_mode": "fast"}, "--libvirt-cpu-mode"),
        ({"cpu_mode": "host-model", "domain_type": "qemu"}, "--libvirt-cpu-mode"),
        ({"firmware": "coreboot"}, "--libvirt-firmware"),
        ({"pool": "<pool>"}, "--libvirt-pool"),
        ({"pool_path": "images"}, "--libvirt-pool-path"),
        ({"ssh_user": "Root"}, "--libvirt-ssh-user"),
        ({"ssh_port": 0}, "--libvirt-ssh-port"),
        ({"uri": "xen:///system"}, "--libvirt-uri"),
        ({"image_checksum": "md5:00"}, "--libvirt-image-checksum"),
        ({"cloud_init": "/nonexistent"}, "--libvirt-cloud-init"),
        ({"network": ("user", "user")}, "--libvirt-network"),
        ({"network": ("user",), "uri": "qemu+ssh://host/system"}, "--libvirt-network"),
        ({"network": ("network:x",), "uri": "qemu:///session"}, "--libvirt-network"),
        ({"share": ("/a:/b",), "uri": "qemu:///session"}, "--libvirt-share-type"),
        ({"share": ("a:/b",)}, "--libvirt-share"),
        ({"wait": -1}, "--libvirt-wait"),
        ({"seed": "floppy"}, "--libvirt-seed"),
        ({"seed": "smbios", "uri": "qemu+ssh://host/system"}, "--libvirt-seed"),
        ({"seed": "smbios", "network": ("macvtap:eth0",)}, "--libvirt-seed"),
        ({"seed": "smbios", "network": ("bridge:br0,address=192.0.2.7/24",)}, "--libvirt-seed"),
    ],
)
def test_a_wrong_value_is_told_by_its_flag(changes: dict[str, Any], flag: str) -> None:
    problems = replace(Options(), **changes).problems()

    assert len(problems) == 1
    assert problems[0].startswith(f"{flag}:")


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert len(replace(Options(), cpus=0, memory="x", firmware="y").problems()) == 3


def test_networks_are_read() -> None:
    nic = parse_network(
        "bridge:br0,mac=52:54:00:00:00:01,model=e1000,address=192.0.2.7/24,gateway=192.0.2.1,dns=1.1.1.1"
    )

    assert nic == Nic("bridge", "br0", "52:54:00:00:00:01", "e1000", "192.0.2.7/24", "192.0.2.1", ("1.1.1.1",))
    assert parse_network("network") == Nic("network", "default")
    assert parse_network("user").kind == "user"


def test_a_copy_has_no_address_of_the_original() -> None:
    own = "mac=52:54:00:00:00:01,address=192.0.2.7/24,gateway=192.0.2.1,dns=1.1.1.1"
    options = Options(network=("network:lab", f"bridge:br0,model=e1000,{own}"), cpus=3)

    assert options.for_a_copy() == replace(options, network=("network:lab", "bridge:br0,model=e1000"))


@pytest.mark.parametrize(
    "text",
    [
        "vpn:x",
        "bridge",
        "user:x",
        "bridge:a b",
        "bridge:br0,speed=9",
        "bridge:br0,mac=53:54:00:00:00:01",
        "bridge:br0,model=<x>",
        "bridge:br0,address=192.0.2.7",
        "bridge:br0,address=nowhere/24",
        "user,address=192.0.2.7/24",
        "network:lab,address=2001:db8::7/64",
    ],
)
def test_a_wrong_network_is_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match="--libvirt-network: "):
        parse_network(text)


def test_the_session_has_qemus_own_network() -> None:
    assert [nic.kind for nic in Options(uri="qemu:///session").networks()] == ["user"]
    assert [nic.source for nic in Options().networks()] == ["default"]


def test_local_and_remote() -> None:
    assert Options(uri="qemu:///system?socket=/x").local
    assert not Options(uri="qemu+ssh://root@host/system").local


def test_shares_are_read() -> None:
    assert parse_share("/srv/a:/data:ro") == Share("/srv/a", "/data", True)
    for text in ("/a:/../b", "/a:/", "/a:/b c", "/a"):
        with pytest.raises(InvalidOption):
            parse_share(text)


def test_sizes_are_read() -> None:
    assert parse_size("-", "2g", 0) == 2 << 30
    assert parse_size("-", "512MiB", 0) == 512 << 20
