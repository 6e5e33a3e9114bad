"""Build an image of a virtual machine from Debian's packages: mmdebstrap(1), then a disk by `disk.make_disk`."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path

from pymachine.drivers.libvirt.images.disk import GPT_TAIL, ROOT_START, check, make_disk, root_size
from pymachine.drivers.libvirt.images.library import Library, VMImage
from pymachine.drivers.local import host
from pymachine.drivers.local.faults import told
from pymachine.drivers.local.images.build import bootstrap, finish
from pymachine.drivers.local.images.recipe import PACKAGES, Recipe
from pymachine.machine.errors import InvalidOption, MissingRequirement

VM_PACKAGES = (
    *PACKAGES,
    "cloud-guest-utils",
    "cloud-init",
    "e2fsprogs",
    "fdisk",
    "linux-image-cloud-amd64",
    "netplan.io",
    "qemu-guest-agent",
    "systemd-resolved",
    "systemd-timesyncd",
    "udev",
    "zstd",
)
"""What Debian's own cloud images have, as far as a container host needs it."""
FILES = {
    "etc/fstab": "LABEL=root / ext4 defaults,errors=remount-ro 0 1\n",
    "etc/modules-load.d/pymachine.conf": "# Containers' layers and networks\noverlay\nbridge\nveth\nbr_netfilter\n",
    "etc/cloud/cloud.cfg.d/10-pymachine.cfg": (
        "# A container host has nothing of these, and each costs time at boot.\n"
        "apt_preserve_sources_list: true\n"
        "package_update: false\n"
        "manage_etc_hosts: true\n"
        "locale: false\n"
        "datasource_list: [NoCloud, None]\n"
    ),
    "etc/ssh/sshd_config.d/10-pymachine.conf": (
        "PasswordAuthentication no\nUseDNS no\nMaxStartups 100:30:300\nMaxSessions 100\n"
    ),
}
INITIAL = {
    "etc/initramfs-tools/conf.d/pymachine": "MODULES=list\n",
    "etc/initramfs-tools/hooks/pymachine": (
        "#!/bin/sh\n"
        '[ "$1" = prereqs ] && exit\n'
        ". /usr/share/initramfs-tools/hook-functions\n"
        "manual_add_modules virtio_pci virtio_blk virtio_scsi sd_mod nvme ext4\n"
    ),
}
"""There before the kernel is installed: disks are virtio's, and with drivers for all others that there are the initial
RAM disk is thrice as large, to be read by the BIOS and unpacked at each boot (initramfs-tools(7))."""
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "systemd-networkd-wait-online.service",
)
RECIPES = {
    name: Recipe(suite, packages=VM_PACKAGES, masked=MASKED, files=tuple(FILES.items()), layout=4)
    for name, suite in (("debian-12", "bookworm"), ("debian-13", "trixie"))
}


def build(name: str, *, report: Callable[[str], None], force: bool = False, library: Library | None = None) -> VMImage:
    """Build the image *name* under the name ``NAME-built``, or return it when it was built from the same recipe.

    Raises `MissingRequirement`, `DriverError` with mmdebstrap's reason, `InvalidOption` for an unknown name.
    """
    if name not in RECIPES:
        raise InvalidOption(
            f'there is no recipe for an image "{name}" of virtual machines; known: {", ".join(RECIPES)}'
        )
    recipe, library = RECIPES[name], library or Library()
    source = f"recipe:{recipe.digest()}"
    if not force and (image := library.find_source(source)):
        report(f"Image {image.name or name} is up to date ({image.digest[:12]})")
        return image
    _check()
    with told("building the image"), library.lock() as lock:
        if not force and (image := library.find_source(source)):
            return image
        with library.adding() as place:
            report(f"Building image {name} of virtual machines from Debian {recipe.suite}; this takes some minutes...")
            disk, size = _build(recipe, place, lock, report)
            made = library.add(
                disk, f"{name}-built", format="qcow2", virtual_size=size, architecture="x86_64", source=source
            )
    report(f"Image {made.name} is ready: {made.digest[:12]}, {made.size >> 20} MiB")
    return made


def _check() -> None:
    if os.geteuid() != 0:
        raise MissingRequirement("building an image needs root", hint="run the command with sudo")
    if platform.machine() != "x86_64":
        raise MissingRequirement("images of virtual machines can be built on x86_64 only; fetch one instead")
    if host.find("mmdebstrap") is None:
        raise host.missing("mmdebstrap")
    check()


def _build(recipe: Recipe, place: Path, lock: int, report: Callable[[str], None]) -> tuple[Path, int]:
    rootfs, disk, before = place / "rootfs", place / "disk.img", place / "before"
    _write_initial(before)
    bootstrap(recipe, place, rootfs, lock, report, before=before)
    report("Making the disk...")
    finish(rootfs, recipe)
    size = ROOT_START + root_size(rootfs) + GPT_TAIL
    make_disk(rootfs, place, disk)
    return disk, size


def _write_initial(folder: Path) -> None:
    for name, text in INITIAL.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in (folder, *folder.rglob("*")):  # the modes are taken over, that of the top too
        path.chmod(0o755 if path.is_dir() or path.parent.name == "hooks" else 0o644)
