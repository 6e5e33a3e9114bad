"""Every XML that the driver writes, held to libvirt's own RELAX NG schemas."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from pymachine.drivers.base import Context
from pymachine.drivers.libvirt import domains, kvm, networks
from pymachine.drivers.libvirt.domains import Disk, Host
from pymachine.drivers.libvirt.options import Options
from pymachine.drivers.libvirt.templating import xml
from pymachine.drivers.testing import FileJournal

SCHEMAS = Path("/usr/share/libvirt/schemas")

pytestmark = pytest.mark.skipif(
    not SCHEMAS.is_dir() or shutil.which("xmllint") is None, reason="needs libvirt's schemas and xmllint"
)


def validate(schema: str, text: str) -> None:
    done = subprocess.run(
        ["xmllint", "--noout", "--relaxng", SCHEMAS / f"{schema}.rng", "-"], input=text, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{done.stderr}\n{text}"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"firmware": "uefi", "hugepages": True, "nested": True},
        {"domain_type": "qemu", "network": ("user", "bridge:br0", "macvtap:eth0,model=e1000", "network:lab")},
        {"share": ("/a <&:/b:ro", "/c:/d"), "extra_disk": ("1g",), "cpu_mode": "host-model"},
        {"share": ("/a:/b:ro",), "share_type": "9p", "machine": "pc"},
        {"arch": "aarch64", "domain_type": "qemu"},
        {"arch": "riscv64", "domain_type": "qemu", "machine": "virt"},
        {"seed": "smbios", "firmware": "uefi", "domain_type": "qemu", "nested": True},
    ],
)
def test_domains(changes: dict[str, Any], tmp_path: Path) -> None:
    options = replace(Options(), **changes)
    assert options.problems() == []
    machine_id = "6f1c0fd6-7a0c-4ab3-9f57-0f7a7a0b1c2d"
    journal = FileJournal(tmp_path / "journal")
    context = Context(machine_id, "web", "a-store", tmp_path, {}, lambda: None, journal, lambda line: None)
    disks = [Disk("/pool/disk.qcow2", "vda", "disk0", "/pool/base.qcow2", "qcow2"), Disk("/pool/more", "vdb", "disk1")]
    nics = domains.with_macs(options.networks(), machine_id)
    forwards = {22: 4000, 2376: 4001}
    text = domains.describe(
        options,
        context,
        Host("x86_64", "Intel"),
        nics,
        disks=disks,
        folder="/pool/<&",
        seed_url="http://192.0.2.1:4000/a-b_c/" if options.seed == "smbios" else "",
        forwards=forwards,
    )

    validate("domain", text)


def test_networks_and_pools_and_volumes() -> None:
    network = networks._network_xml("lab", IPv4Network("192.168.130.0/24"))
    kept = xml("reservation", mac="52:54:00:00:00:01", name="web-<&", address="192.168.130.9")
    validate("network", network)
    validate("network", network.replace("</dhcp>", f"{kept}</dhcp>"))
    validate("storagepool", xml("pool", name="lab", path="/var/lib/libvirt/images/<&"))
    values = {"name": "x", "capacity": 1, "format": "qcow2", "mode": "0600", "backing": "", "backing_format": ""}
    validate("storagevol", xml("volume", **values))
    validate("storagevol", xml("volume", **{**values, "backing": "/pool/a&b", "backing_format": "raw", "mode": ""}))
    validate("domainsnapshot", xml("snapshot", name="before <&", disks=[{"device": "vda", "kind": "internal"}]))


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_the_trial_of_kvm(arch: str) -> None:
    validate("domain", xml("trial", name="pymachine-trial-0", guest=kvm.Guest(arch, "q35", "host-passthrough")))
    validate("domain", xml("trial", name="pymachine-trial-0", guest=kvm.Guest(arch, "virt", "host-model")))
