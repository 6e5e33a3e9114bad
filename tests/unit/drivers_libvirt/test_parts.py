"""Parts of the libvirt driver that need no libvirt: XML, seeds, addresses, images, errors."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pymachine.drivers.base import Context
from pymachine.drivers.libvirt import addresses, domains, networks, seed, storage
from pymachine.drivers.libvirt.connection import for_scripts, hint, refused
from pymachine.drivers.libvirt.domains import Disk, Host, Names
from pymachine.drivers.libvirt.images import fetch
from pymachine.drivers.libvirt.images.library import Library
from pymachine.drivers.libvirt.options import Options, parse_network
from pymachine.drivers.libvirt.templating import xml
from pymachine.drivers.testing import FileJournal
from pymachine.machine.errors import DriverError, InvalidOption, MissingRequirement

MACHINE_ID = "6f1c0fd6-7a0c-4ab3-9f57-0f7a7a0b1c2d"


@pytest.fixture
def context(tmp_path: Path) -> Context:
    journal = FileJournal(tmp_path / "journal")
    return Context(MACHINE_ID, "web", "store", tmp_path, {}, lambda: None, journal, lambda line: None)


def described(context: Context, **changes: Any) -> ElementTree.Element:
    options = replace(Options(), **changes)
    nics = domains.with_macs(options.networks(), MACHINE_ID)
    text = domains.describe(
        options,
        context,
        Host("x86_64", "Intel"),
        nics,
        disks=[Disk("/pool/a&b.qcow2", "vda", "disk0", "/pool/<base>", "qcow2")],
        folder="/pool",
        forwards={22: 4000, 2376: 4001} if any(nic.kind == "user" for nic in nics) else {},
    )
    return ElementTree.fromstring(text)


def test_values_are_escaped_in_xml(context: Context) -> None:
    root = described(context, share=("/srv/<&\"':/data",))

    assert root.find("devices/filesystem/source").get("dir") == "/srv/<&\"'"  # type: ignore[union-attr]
    assert root.find("devices/disk/source").get("file") == "/pool/a&b.qcow2"  # type: ignore[union-attr]
    assert root.findtext("uuid") == MACHINE_ID


def test_virtiofs_shares_the_memory(context: Context) -> None:
    root = described(context, share=("/a:/b",))

    assert root.find("memoryBacking/access[@mode='shared']") is not None
    assert described(context, share=("/a:/b",), share_type="9p").find("memoryBacking") is None


def test_nested_machines_need_the_cpus_feature(context: Context) -> None:
    assert described(context, nested=True).find("cpu/feature").get("name") == "vmx"  # type: ignore[union-attr]
    assert described(context, nested=True, domain_type="qemu").find("cpu/feature").get("name") == "svm"  # type: ignore[union-attr]
    assert described(context).find("cpu/feature") is None


def test_forwarded_ports_can_be_read_back(context: Context) -> None:
    root = described(context, network=("user",))

    assert domains.forwards(ElementTree.tostring(root, "unicode")) == {22: 4000, 2376: 4001}
    assert root.find("devices/interface") is None


def test_cards_keep_their_address_and_no_two_machines_share_one() -> None:
    nics = Options().networks() * 2
    first = [nic.mac for nic in domains.with_macs(nics, "a")]

    assert first == [nic.mac for nic in domains.with_macs(nics, "a")]
    assert len({*first, *(nic.mac for nic in domains.with_macs(nics, "b"))}) == 4
    assert all(mac.startswith("52:54:00:") for mac in first)


def test_only_the_machines_own_volumes_are_its_own(context: Context) -> None:
    names = Names.of(context)

    for name in (names.disk, names.seed, names.console, f"{names.console}.0", names.extra(2)):
        assert names.is_ours(name)
    for name in ("web.qcow2", f"{names.domain}2.qcow2", f"{names.domain}-other.qcow2", f"x{names.disk}"):
        assert not names.is_ours(name)


def identity(**changes: Any) -> seed.Identity:
    nics = domains.with_macs([parse_network("network"), parse_network("bridge:b,address=192.0.2.7/24")], "x")
    whole = seed.Identity("id", "web", "me", "ssh-ed25519 AAAA", "PRIVATE\nKEY\n", "ssh-ed25519 BBBB", nics, [])
    return replace(whole, **changes)


def test_the_seed_is_yaml_whatever_the_values() -> None:
    made = seed.files(identity(authorized_key='ssh-ed25519 AAAA "quoted": # name'))

    assert made["user-data"].startswith("#cloud-config\n")
    assert json.dumps('ssh-ed25519 AAAA "quoted": # name') in made["user-data"]
    assert "dhcp-identifier: mac" in made["network-config"]
    assert '"192.0.2.7/24"' in made["network-config"]


def test_the_users_own_data_is_a_second_part() -> None:
    made = seed.files(identity(extra="#cloud-config\npackages: [git]\n"))["user-data"]

    assert made.count("Content-Type: text/cloud-config") == 2


def test_the_seeds_cd_has_the_label_and_the_names_that_cloud_init_wants() -> None:
    pycdlib = pytest.importorskip("pycdlib")
    image = pycdlib.PyCdlib()
    image.open_fp(io.BytesIO(seed.iso(seed.files(identity()))))

    assert image.pvd.volume_identifier.strip() == b"cidata"
    for facade in (image.get_joliet_facade(), image.get_rock_ridge_facade()):
        for name in ("user-data", "meta-data", "network-config"):
            written = io.BytesIO()
            facade.get_file_from_iso_fp(written, f"/{name}")
            assert written.getvalue()
    image.close()


def entry(mac: str, *found: str) -> dict[str, Any]:
    return {"hwaddr": mac, "addrs": [{"addr": address, "prefix": 24, "type": 0} for address in found]}


def test_an_address_that_others_can_use_is_chosen() -> None:
    interfaces = {
        "lo": entry("00:00:00:00:00:00", "127.0.0.1"),
        "docker0": entry("02:42:00:00:00:01", "172.17.0.1"),
        "eth0": entry("52:54:00:AA:00:01", "169.254.1.1", "fe80::1", "2001:db8::1", "192.0.2.9"),
    }

    assert addresses.choose(interfaces, ["52:54:00:aa:00:01"]) == "192.0.2.9"
    assert addresses.choose(interfaces, ["52:54:00:aa:00:02"]) == ""
    assert addresses.choose({"x": {"hwaddr": None, "addrs": None}}, ["52:54:00:aa:00:02"]) == ""


def test_networks_are_read() -> None:
    text = networks._network_xml("n", IPv4Network("192.168.130.0/24"))

    assert [str(found) for found in networks.addresses(text)] == ["192.168.130.1/24"]
    kept = text.replace(
        "</dhcp>", f"{xml('reservation', mac='52:54:00:00:00:01', name='w', address='192.168.130.9')}</dhcp>"
    )
    assert {mac: str(ip) for mac, ip in networks.reservations(kept).items()} == {"52:54:00:00:00:01": "192.168.130.9"}


def test_images_in_pools_are_known_by_their_digest() -> None:
    assert storage.is_base(storage.base_name("a" * 64, "qcow2"))
    assert not storage.is_base("pymachine-web.qcow2")
    assert not storage.is_base(storage.base_name("a" * 64, "qcow2") + storage.WHOLE)


def qcow2(size: int = 1 << 30, backing: int = 0, incompatible: int = 0) -> bytes:
    head = b"QFI\xfb" + struct.pack(">IQIIQ", 3, backing, 0, 16, size)
    return head.ljust(72, b"\0") + struct.pack(">Q", incompatible) + bytes(64)


def test_images_are_looked_at(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(qcow2())
    assert fetch.inspect(disk) == ("qcow2", 1 << 30)
    disk.write_bytes(bytes(4096))
    assert fetch.inspect(disk) == ("raw", 4096)
    for content, reason in (
        (qcow2(backing=200), "another file"),
        (qcow2(incompatible=4), "another file"),
        (b"\x1f\x8b" + bytes(200), "gzip"),
        (b"x", "too short"),
    ):
        disk.write_bytes(content)
        with pytest.raises(DriverError, match=reason):
            fetch.inspect(disk)


def test_a_file_is_taken_once_and_checked(tmp_path: Path) -> None:
    library, disk = Library(tmp_path / "library"), tmp_path / "disk.img"
    disk.write_bytes(qcow2())

    def obtain(name: str, checksum: str = "") -> Any:
        return fetch.obtain(name, checksum=checksum, architecture="x86_64", report=lambda line: None, library=library)

    first = obtain(str(disk))
    assert obtain(str(disk)).digest == obtain(first.digest[:12]).digest == first.digest
    assert obtain(str(disk), f"sha256:{first.digest}").digest == first.digest
    with pytest.raises(DriverError, match="checksum"):
        obtain(str(disk), "sha256:" + "0" * 64)
    with pytest.raises(InvalidOption, match="no image"):
        obtain("nothing")
    with pytest.raises(InvalidOption, match="checksum"):
        obtain("https://example.invalid/x.qcow2")
    assert [image.digest for image in library.images()] == [first.digest]
    assert list(library.root.glob(".adding-*")) == []
    library.remove(first.digest)
    assert library.images() == []


def test_ssh_never_asks_questions() -> None:
    assert for_scripts("qemu+ssh://h/system") == "qemu+ssh://h/system?no_tty=1"
    assert for_scripts("qemu+ssh://h/system?keyfile=x") == "qemu+ssh://h/system?keyfile=x&no_tty=1"
    assert for_scripts("qemu:///system") == "qemu:///system"


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("Failed to connect socket to '/run/x': Permission denied", "usermod -aG libvirt"),
        ("authentication unavailable: no polkit agent", "usermod -aG libvirt"),
        ("Failed to connect socket to '/run/x': No such file or directory", "libvirt-daemon-system"),
    ],
)
def test_a_refused_connection_names_the_remedy(reason: str, remedy: str) -> None:
    error = refused("qemu:///system?socket=/x", reason)

    assert isinstance(error, MissingRequirement)
    assert remedy in error.hint
    assert "socket=" not in str(error)


def test_known_failures_have_a_hint() -> None:
    assert "--libvirt-domain-type qemu" in hint("Could not access KVM kernel module: No such file or directory")
    assert "o+x" in hint("Could not open '/x': Permission denied")
    assert "apt-get install virtiofsd" in hint("operation failed: Unable to find a satisfying virtiofsd")
    assert hint("something else") == ""
