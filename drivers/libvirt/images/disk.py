"""A bootable disk image of a root file system, made without loop devices, mounts or root's help but for owners.

GPT with a BIOS boot partition, an EFI system partition and the root file system last, so that it can grow.
GRUB's two halves are placed by hand, as grub-bios-setup(8) would do it on a device: its source, boot.S and
diskboot.S, gives the offsets; UEFI specification 2.10, section 3.5.1.1, the removable media path.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from pymachine.drivers.local import host
from pymachine.machine.errors import MissingRequirement

MIB = 1 << 20
SECTOR = 512
BIOS_START, ESP_START, ROOT_START = MIB, 2 * MIB, 18 * MIB
BIOS_SIZE, ESP_SIZE, GPT_TAIL = ESP_START - BIOS_START, ROOT_START - ESP_START, MIB
ROOT_LABEL = "root"
SPARE = 1.25
"""The root file system beside its files' bytes: inodes, journal and room for a first boot's writes."""
MODULES = ("part_gpt", "ext2", "search", "search_label", "normal", "serial", "terminal")
EARLY_CONFIG = f"search --no-floppy --label {ROOT_LABEL} --set root\nset prefix=($root)/boot/grub\n"
GRUB_CONFIG = (
    "set timeout=0\n"
    f"search --no-floppy --label {ROOT_LABEL} --set root\n"
    "menuentry Linux {\n"
    f"  $linux /vmlinuz root=LABEL={ROOT_LABEL} ro console=tty0 console=ttyS0,115200n8\n"
    "  $initrd /initrd.img\n"
    "}\n"
)
"""Debian keeps the links /vmlinuz and /initrd.img pointing at the newest kernel (linux-update-symlinks(1))."""
GRUB_FOLDER = Path("/usr/lib/grub")
PACKAGES = {
    "grub-mkimage": "grub-common",
    "mke2fs": "e2fsprogs",
    "sfdisk": "fdisk",
    "mkfs.vfat": "dosfstools",
    "mcopy": "mtools",
    "mmd": "mtools",
    "qemu-img": "qemu-utils",
}


@dataclass(frozen=True, slots=True)
class Firmware:
    """The parts of GRUB that go into the image."""

    platform: str
    linux: str
    """The commands that load kernel and initrd are called so, and ``initrd`` with the same ending."""
    modules: tuple[str, ...]
    package: str


# By the 32-bit way GRUB 2.06 moves the kernel's 54 MB by single bytes, which takes seconds where they are emulated.
BIOS = Firmware("i386-pc", "linux16", ("biosdisk", "linux16", *MODULES), "grub-pc-bin")
EFI = Firmware("x86_64-efi", "linux", ("linux", "efi_gop", *MODULES), "grub-efi-amd64-bin")


def requirements() -> list[str]:
    """Debian packages that must be installed first; empty when all are there."""
    missing = [package for program, package in PACKAGES.items() if host.find(program) is None]
    missing += [part.package for part in (BIOS, EFI) if not (GRUB_FOLDER / part.platform).is_dir()]
    return list(dict.fromkeys(missing))


def check() -> None:
    """Raise `MissingRequirement` with the line that installs what is missing."""
    if missing := requirements():
        raise MissingRequirement(
            f"building an image of a virtual machine needs {', '.join(missing)}",
            hint=f"sudo apt-get install -y --no-install-recommends {' '.join(missing)}",
        )


def make_disk(rootfs: Path, scratch: Path, target: Path) -> None:
    """Write *target*, a compact qcow2 image that boots *rootfs* by BIOS and by UEFI; *scratch* is for the parts."""
    raw = scratch / "disk.raw"
    size = root_size(rootfs)
    with open(raw, "wb") as file:
        file.truncate(ROOT_START + size + GPT_TAIL)
    _partition(raw, size)
    _put_file(rootfs / "boot/grub/grub.cfg", GRUB_CONFIG)
    _make_root(rootfs, raw, size)
    _place_bios(raw, _grub(BIOS, scratch))
    _place_efi(raw, _grub(EFI, scratch), scratch)
    host.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(target)], timeout=600)
    raw.unlink()


def root_size(rootfs: Path) -> int:
    """Bytes of the file system for a tree, whole MiB."""
    used = 0
    for directory, names, files in os.walk(rootfs):
        for name in [*names, *files]:
            used += os.lstat(os.path.join(directory, name)).st_blocks * SECTOR
    return (int(used * SPARE) // MIB + 96) * MIB


def _put_file(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o644)


def _partition(raw: Path, root: int) -> None:
    kinds = {
        "bios": "21686148-6449-6E6F-744E-656564454649",
        "efi": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
        "linux": "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
    }
    parts = (("bios", BIOS_START, BIOS_SIZE), ("efi", ESP_START, ESP_SIZE), ("linux", ROOT_START, root))
    lines = ["label: gpt", "first-lba: 34"]
    lines += [f"start={start // SECTOR}, size={size // SECTOR}, type={kinds[kind]}" for kind, start, size in parts]
    host.run(["sfdisk", "--quiet", str(raw)], stdin="\n".join(lines) + "\n")


def _make_root(rootfs: Path, raw: Path, size: int) -> None:
    options = f"offset={ROOT_START},root_owner=0:0"
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-L", ROOT_LABEL, "-m", "1", "-E", options, "-d", str(rootfs)]
    host.run([*command, str(raw), f"{size // 1024}k"], timeout=600)


def _grub(part: Firmware, scratch: Path) -> Path:
    """GRUB's core for a firmware; it finds the root by its label and reads the configuration there."""
    config, made = scratch / "early.cfg", scratch / f"grub.{part.platform}"
    initrd = part.linux.replace("linux", "initrd")
    config.write_text(f"{EARLY_CONFIG}set linux={part.linux}\nset initrd={initrd}\n")
    command = ["grub-mkimage", "-O", part.platform, "-o", str(made), "-p", "/boot/grub", "-c", str(config)]
    host.run([*command, *part.modules])
    return made


def _place_bios(raw: Path, core: Path) -> None:
    """boot.img loads the sector that is written into it at 0x5c, the core's first; that one loads the blocks listed
    at its end, whose first entry lacks only where it starts."""
    image = bytearray(core.read_bytes())
    if len(image) > BIOS_SIZE:
        raise MissingRequirement(f"GRUB's core has {len(image)} bytes and does not fit in {BIOS_SIZE}")
    first = BIOS_START // SECTOR
    image[0x1F4:0x1FC] = struct.pack("<Q", first + 1)
    boot = bytearray((GRUB_FOLDER / BIOS.platform / "boot.img").read_bytes())[:440]
    boot[0x5C:0x64] = struct.pack("<Q", first)
    boot[0x66:0x68] = b"\x90\x90"  # as grub-bios-setup does for hard disks: believe the BIOS's drive number
    with open(raw, "r+b") as file:
        file.write(boot)
        file.seek(BIOS_START)
        file.write(image)


def _place_efi(raw: Path, core: Path, scratch: Path) -> None:
    esp = scratch / "esp.fat"
    with open(esp, "wb") as file:
        file.truncate(ESP_SIZE)
    host.run(["mkfs.vfat", "-n", "EFI", str(esp)])
    host.run(["mmd", "-i", str(esp), "::/EFI", "::/EFI/BOOT"])
    host.run(["mcopy", "-i", str(esp), str(core), "::/EFI/BOOT/BOOTX64.EFI"])
    with open(raw, "r+b") as file:
        file.seek(ESP_START)
        file.write(esp.read_bytes())
