"""A disk image that boots in seconds, for tests of drivers: a real kernel, and busybox that gets an address by DHCP,
says an SSH server's first line to whoever connects, and a word at the engine's port, and goes off when the power button
is pressed."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from unittest import mock

from pymachine.drivers.libvirt.images import disk
from pymachine.drivers.libvirt.images.disk import ROOT_START, make_disk
from pymachine.drivers.libvirt.images.library import VMImage
from pymachine.drivers.local.locks import locked
from support.busybox import BUSYBOX

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "tiny"

QUICKLY = "quiet nosmp nokaslr mitigations=off cryptomgr.notests ftrace=nop"
"""Kernel parameters that save a fifth of an emulated boot (kernel-parameters(7))."""
MODULES = ("virtio_pci", "virtio_net", "virtio_blk", "evdev", "button", "ext4")
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in $(cat /modules); do modprobe $module 2>/dev/null; done
exec >/dev/console 2>&1
echo 1 > /proc/sys/kernel/printk
mkdir -p /etc/acpi/PWRF
printf '#!/bin/sh\\npoweroff -f\\n' > /etc/acpi/PWRF/00000080; chmod +x /etc/acpi/PWRF/00000080
acpid -d >/dev/null 2>&1 &
printf '#!/bin/sh\\n[ "$1" = bound ] && ip addr add $ip/$mask dev $interface\\nexit 0\\n' > /dhcp; chmod +x /dhcp
printf '#!/bin/sh\\necho SSH-2.0-tiny\\nsleep 1\\n' > /banner; chmod +x /banner
ip link set lo up; ip link set eth0 up
udhcpc -i eth0 -s /dhcp -t 60 -T 1 -q
printf '#!/bin/sh\\necho engine\\nsleep 1\\n' > /engine; chmod +x /engine
nc -ll -p 2376 -e /engine &
echo tiny machine is up
while :; do nc -ll -p 22 -e /banner; done
"""


def tiny_image_of(source: VMImage) -> Path:
    """The tiny image with the kernel of *source*, made once and kept for later runs."""
    digest = hashlib.sha256(source.digest.encode() + Path(__file__).read_bytes()).hexdigest()
    kept = CACHE / f"{digest[:16]}.qcow2"
    CACHE.mkdir(parents=True, exist_ok=True)
    with locked(CACHE / ".lock", "waiting for the tiny image", wait=600):  # two processes of tests begin at once
        if not kept.exists():
            for old in CACHE.glob("*.*"):
                if old.suffix in (".qcow2", ".half"):
                    old.unlink()
            with tempfile.TemporaryDirectory(prefix="pymachine-tiny-", dir="/var/tmp") as scratch:
                half = kept.with_suffix(".half")
                shutil.move(make_tiny_image(source.path, Path(scratch)), half)
                half.rename(kept)
    return kept


def make_tiny_image(disk_image: Path, scratch: Path) -> Path:
    """``tiny.qcow2`` in *scratch*, with the kernel of a disk image that `pymachine image build --vm` made."""
    raw = scratch / "source.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", disk_image, raw], check=True)
    source = f"{raw}?offset={ROOT_START}"
    release = re.findall(r"vmlinuz-(\S+)", _debugfs(source, "ls /boot"))[0]
    top, initrd = scratch / "top", scratch / "initrd"
    modules = initrd / "lib/modules" / release
    for folder in (top / "boot/grub", modules, *(initrd / name for name in ("bin", "proc", "sys", "dev", "etc"))):
        folder.mkdir(parents=True)
    _debugfs(source, f"dump /boot/vmlinuz-{release} {top}/vmlinuz")
    for name in ("modules.dep", "modules.alias", "modules.builtin"):
        _debugfs(source, f"dump /usr/lib/modules/{release}/{name} {modules}/{name}")
    wanted = _modules(modules / "modules.dep")
    for path in wanted:
        (modules / path).parent.mkdir(parents=True, exist_ok=True)
        _debugfs(source, f"dump /usr/lib/modules/{release}/{path} {modules}/{path}")
    (initrd / "modules").write_text(" ".join(MODULES))
    shutil.copy(shutil.which("busybox") or BUSYBOX, initrd / "bin/busybox")
    (initrd / "init").write_text(INIT)
    for name in ("init", "bin/busybox"):
        os.chmod(initrd / name, 0o755)
    names = "\n".join(str(path.relative_to(initrd)) for path in sorted(initrd.rglob("*")))
    packer = [str(initrd / "bin/busybox"), "cpio", "-o", "-H", "newc"]
    packed = subprocess.run(packer, cwd=initrd, input=names.encode(), capture_output=True, check=True)
    (top / "initrd.img").write_bytes(gzip.compress(packed.stdout, 1))
    raw.unlink()
    made = scratch / "tiny.qcow2"
    config = disk.GRUB_CONFIG.replace("console=tty0 console=ttyS0,115200n8", f"console=ttyS0 {QUICKLY}")
    with mock.patch.object(disk, "GRUB_CONFIG", config):
        make_disk(top, scratch, made)
    shutil.rmtree(top)
    shutil.rmtree(initrd)
    return made


def _modules(listing: Path) -> set[str]:
    """Paths of the modules and of what they need (modules.dep(5))."""
    needs = {}
    for line in listing.read_text().splitlines():
        path, _, rest = line.partition(":")
        needs[path] = rest.split()
    found: set[str] = set()
    for path, others in needs.items():
        if re.sub(r"\.ko.*$", "", path.rpartition("/")[2]).replace("-", "_") in MODULES:
            found |= {path, *others}
    return found


def _debugfs(image: str, command: str) -> str:
    done = subprocess.run(["debugfs", "-R", command, image], capture_output=True, text=True, check=True)
    return done.stdout
