"""The libvirt driver's options, and the small languages of some: sizes, networks, shared folders."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from pymachine.drivers.options import option
from pymachine.machine.errors import InvalidOption

MIB, GIB = 1 << 20, 1 << 30
SUFFIXES = {"": 1, "k": 1 << 10, "m": MIB, "g": GIB, "t": 1 << 40}
LEAST_MEMORY = 256 * MIB
LEAST_DISK = GIB
MACHINES = {"x86_64": "q35", "aarch64": "virt", "riscv64": "virt", "ppc64le": "pseries", "s390x": "s390-ccw-virtio"}
CPU_MODES = ("", "host-passthrough", "host-model", "maximum")
NIC_MODELS = ("virtio", "e1000", "e1000e", "rtl8139")
NETWORK_KINDS = ("network", "bridge", "macvtap", "user")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}")
_TARGET = re.compile(r"/[A-Za-z0-9_./+@-]+")


@dataclass(frozen=True)
class Options:
    """How a virtual machine is made."""

    uri: str = option("qemu:///system", "libvirt connection", env="LIBVIRT_DEFAULT_URI", metavar="URI")
    image: str = option(
        "debian-12",
        "image: a name of the catalogue, an image's digest, a URL or a file",
        env="LIBVIRT_IMAGE",
        metavar="IMAGE",
    )
    image_checksum: str = option(
        "", "checksum of an image given by URL or file: sha256:… or sha512:…", env="LIBVIRT_IMAGE_CHECKSUM"
    )
    cpus: int = option(2, "number of virtual CPUs", env="LIBVIRT_CPUS")
    memory: str = option("2g", "memory such as 2g or 512m", env="LIBVIRT_MEMORY", metavar="SIZE")
    disk: str = option("20g", "size of the disk, which grows as it is used", env="LIBVIRT_DISK", metavar="SIZE")
    extra_disk: tuple[str, ...] = option((), "size of a further, empty disk", env="LIBVIRT_EXTRA_DISK", metavar="SIZE")
    domain_type: str = option(
        "kvm",
        "how guests run: kvm, qemu for (slow) software emulation, or auto for kvm where it works",
        env="LIBVIRT_DOMAIN_TYPE",
    )
    cpu_mode: str = option(
        "", "host-passthrough, host-model or maximum; what suits the domain type if empty", env="LIBVIRT_CPU_MODE"
    )
    nested: bool = option(False, "let the machine run virtual machines of its own", env="LIBVIRT_NESTED")
    machine: str = option("", "machine type such as q35; the usual one if empty", env="LIBVIRT_MACHINE")
    firmware: str = option("bios", "bios or uefi", env="LIBVIRT_FIRMWARE")
    arch: str = option("", "architecture such as x86_64; the host's if empty", env="LIBVIRT_ARCH")
    pool: str = option("default", "storage pool; made if missing", env="LIBVIRT_POOL", metavar="NAME")
    pool_path: str = option("", "folder of the pool, when it is made", env="LIBVIRT_POOL_PATH", metavar="PATH")
    network: tuple[str, ...] = option(
        (),
        "network[:NAME], bridge:NAME, macvtap:DEVICE or user, with ,mac=… ,model=… ,address=CIDR ,gateway=… ,dns=…",
        metavar="KIND[:NAME][,KEY=VALUE]",
    )
    share: tuple[str, ...] = option(
        (), "folder of the libvirt host to share: SOURCE:TARGET[:ro]", env="LIBVIRT_SHARE", metavar="SOURCE:TARGET"
    )
    share_type: str = option("virtiofs", "virtiofs or 9p", env="LIBVIRT_SHARE_TYPE")
    hugepages: bool = option(False, "back the memory with huge pages of the host", env="LIBVIRT_HUGEPAGES")
    autostart: bool = option(False, "start the machine with its host", env="LIBVIRT_AUTOSTART")
    seed: str = option("disk", "how cloud-init gets its data: disk, or smbios", env="LIBVIRT_SEED")
    cloud_init: str = option("", "cloud-config file to merge with ours", env="LIBVIRT_CLOUD_INIT", metavar="FILE")
    ssh_user: str = option("pymachine", "user for SSH, made with sudo rights", env="LIBVIRT_SSH_USER")
    ssh_port: int = option(22, "port of the image's SSH server", env="LIBVIRT_SSH_PORT")
    wait: int = option(
        0,
        "seconds that a started machine has for its address and SSH; what --timeout leaves if 0",
        env="LIBVIRT_WAIT",
        metavar="SECONDS",
    )

    @property
    def local(self) -> bool:
        """Whether libvirt runs on this computer."""
        return not urlsplit(self.uri).netloc

    @property
    def session(self) -> bool:
        """Whether it is the user's own libvirt, which has no networks but QEMU's own."""
        return urlsplit(self.uri).path == "/session"

    def machine_of(self, host_architecture: str) -> str:
        """The machine type: the usual one for the guest's architecture unless one is given."""
        return self.machine or MACHINES.get(self.arch or host_architecture, "virt")

    def networks(self) -> list[Nic]:
        """The network cards; QEMU's own network for the session, else the network ``default`` when none is given."""
        return [parse_network(text) for text in self.network or (("user",) if self.session else ("network:default",))]

    def for_a_copy(self) -> Options:
        """Without what one machine only can have: its cards' own addresses."""
        return replace(self, network=tuple(_without_addresses(text) for text in self.network))

    def shares(self) -> list[Share]:
        """The shared folders. Raises `InvalidOption`."""
        return [parse_share(text) for text in self.share]

    def memory_bytes(self) -> int:
        """Raises `InvalidOption`."""
        return parse_size("--libvirt-memory", self.memory, LEAST_MEMORY)

    def disk_bytes(self) -> int:
        """Raises `InvalidOption`."""
        return parse_size("--libvirt-disk", self.disk, LEAST_DISK)

    def extra_disks(self) -> list[int]:
        """Bytes of each. Raises `InvalidOption`."""
        return [parse_size("--libvirt-extra-disk", text, MIB) for text in self.extra_disk]

    def problems(self) -> list[str]:
        """Everything wrong with the values themselves, each naming its flag."""
        found = list(self._plain_problems())
        checks: tuple[Callable[[], object], ...] = (
            self.memory_bytes, self.disk_bytes, self.extra_disks, self.networks, self.shares,
        )  # fmt: skip
        for check in checks:
            try:
                check()
            except InvalidOption as error:
                found.append(str(error))
        return found or list(self._combined_problems())

    def _plain_problems(self) -> Iterator[str]:
        if self.cpus < 1:
            yield f"--libvirt-cpus: {self.cpus} is less than 1"
        if not 1 <= self.ssh_port <= 65535:
            yield f"--libvirt-ssh-port: {self.ssh_port} is not a port"
        if self.wait < 0:
            yield f"--libvirt-wait: {self.wait} is less than 0"
        for flag, value, allowed in (
            ("domain-type", self.domain_type, ("kvm", "qemu", "auto")),
            ("cpu-mode", self.cpu_mode, CPU_MODES),
            ("firmware", self.firmware, ("bios", "uefi")),
            ("share-type", self.share_type, ("virtiofs", "9p")),
            ("seed", self.seed, ("disk", "smbios")),
        ):
            if value not in allowed:
                yield f"--libvirt-{flag}: {value!r} is none of {', '.join(word for word in allowed if word)}"
        for flag, value in (("pool", self.pool), ("machine", self.machine or "q35"), ("arch", self.arch or "x86_64")):
            if not _NAME.fullmatch(value):
                yield f"--libvirt-{flag}: {value!r} is not a name"
        if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", self.ssh_user):
            yield f"--libvirt-ssh-user: {self.ssh_user!r} is not a user name"
        if self.pool_path and not self.pool_path.startswith("/"):
            yield f"--libvirt-pool-path: {self.pool_path!r} is not an absolute path"
        if self.image_checksum and not re.fullmatch(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", self.image_checksum):
            yield "--libvirt-image-checksum: not sha256: or sha512: and the hexadecimal digest"
        if not urlsplit(self.uri).scheme.startswith("qemu"):
            yield f"--libvirt-uri: {self.uri!r} is not a connection to QEMU such as qemu:///system"
        if self.cloud_init and not Path(self.cloud_init).is_file():
            yield f"--libvirt-cloud-init: there is no file {self.cloud_init}"

    def _combined_problems(self) -> Iterator[str]:
        cards = self.networks()
        if sum(card.kind == "user" for card in cards) > 1:
            yield "--libvirt-network: user can be given once only"
        if any(card.kind == "user" for card in cards) and not self.local:
            yield "--libvirt-network: user forwards ports on the libvirt host itself, so it cannot be a remote one"
        if self.session and any(card.kind == "network" for card in cards):
            yield "--libvirt-network: the session has no libvirt networks; use user or bridge:NAME"
        if self.session and not self.local and not self.pool_path:
            yield "--libvirt-pool-path must be given for the session of another computer"
        if self.cpu_mode.startswith("host-") and self.domain_type == "qemu":
            yield f"--libvirt-cpu-mode: {self.cpu_mode} needs KVM"
        if self.seed == "smbios":
            yield from self._smbios_problems(cards)
        if self.share and self.share_type == "virtiofs" and self.session:
            yield "--libvirt-share-type: virtiofs does not work in the session; use 9p"

    def _smbios_problems(self, cards: Sequence[Nic]) -> Iterator[str]:
        """The machine fetches its data from this process, by DHCP and its first card, before anything else is known."""
        if not self.local:
            yield "--libvirt-seed: smbios needs libvirt on this computer, from which the machine gets its data"
        if cards[0].kind == "macvtap":
            yield "--libvirt-seed: smbios does not work by macvtap, on which this computer cannot be reached"
        if any(card.address and card.kind != "network" for card in cards):
            yield "--libvirt-seed: smbios sets the first network card up, by DHCP; use the disk for static addresses"


@dataclass(frozen=True, slots=True)
class Nic:
    """A network card."""

    kind: str
    """``network``, ``bridge``, ``macvtap``, ``user``."""
    source: str = ""
    mac: str = ""
    model: str = "virtio"
    address: str = ""
    """A static address with its prefix length; empty for DHCP."""
    gateway: str = ""
    dns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Share:
    """A folder of the libvirt host, shown in the machine."""

    source: str
    target: str
    read_only: bool = False


def parse_size(flag: str, text: str, least: int) -> int:
    """Bytes of ``20g``, ``512m``… Raises `InvalidOption`."""
    found = re.fullmatch(r"(\d{1,9})([kmgt]?)(?:i?b)?", text.strip().lower())
    if not found:
        raise InvalidOption(f"{flag}: {text!r} is not a size such as 20g or 512m")
    size = int(found[1]) * SUFFIXES[found[2]]
    if size < least:
        raise InvalidOption(f"{flag}: {text} is too little, {least // MIB}m is the least")
    return size


def parse_network(text: str) -> Nic:
    """``KIND[:NAME][,KEY=VALUE]…``. Raises `InvalidOption`."""
    head, *settings = text.split(",")
    kind, _, source = head.partition(":")
    if kind not in NETWORK_KINDS:
        raise InvalidOption(f"--libvirt-network: {kind!r} is none of {', '.join(NETWORK_KINDS)}")
    if kind == "network" and not source:
        source = "default"
    if (kind == "user") == bool(source) or (source and not _NAME.fullmatch(source)):
        wanted = "takes no name" if kind == "user" else "needs the name of a network or device after a colon"
        raise InvalidOption(f"--libvirt-network: {kind} {wanted}")
    values = dict(setting.partition("=")[::2] for setting in settings)
    if unknown := values.keys() - {"mac", "model", "address", "gateway", "dns"}:
        raise InvalidOption(f"--libvirt-network: unknown setting {sorted(unknown)[0]!r}")
    dns = tuple(item for item in values.pop("dns", "").split("+") if item)
    return _checked(Nic(kind, source, dns=dns, **values))


def _without_addresses(network: str) -> str:
    own = ("mac=", "address=", "gateway=", "dns=")
    return ",".join(part for part in network.split(",") if not part.startswith(own))


def _checked(nic: Nic) -> Nic:
    if nic.mac and not re.fullmatch(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}", nic.mac):
        raise InvalidOption(f"--libvirt-network: mac={nic.mac} is not a card's address such as 52:54:00:12:34:56")
    if nic.model not in NIC_MODELS:
        raise InvalidOption(f"--libvirt-network: model={nic.model} is none of {', '.join(NIC_MODELS)}")
    try:
        if nic.address:
            ipaddress.ip_interface(nic.address)
        for text in (*([nic.gateway] if nic.gateway else []), *nic.dns):
            ipaddress.ip_address(text)
    except ValueError as error:
        raise InvalidOption(f"--libvirt-network: {error}") from None
    if nic.address and "/" not in nic.address:
        raise InvalidOption(f"--libvirt-network: address={nic.address} lacks the prefix length, as in 192.0.2.7/24")
    if nic.kind == "network" and ":" in nic.address:
        raise InvalidOption(f"--libvirt-network: address={nic.address} is no IPv4 address, which alone can be kept")
    if nic.kind == "user" and nic.address:
        raise InvalidOption("--libvirt-network: user gives its machine an address by itself")
    return nic


def parse_share(text: str) -> Share:
    """``SOURCE:TARGET[:ro|:rw]``, both absolute. Raises `InvalidOption`."""
    parts = text.split(":")
    mode = parts.pop() if len(parts) == 3 and parts[2] in ("ro", "rw") else "rw"
    if len(parts) != 2 or not all(part.startswith("/") and "\0" not in part for part in parts):
        raise InvalidOption(f"--libvirt-share: {text!r} is not SOURCE:TARGET[:ro] with absolute paths")
    source, target = parts
    if not _TARGET.fullmatch(target) or ".." in target.split("/") or not target.strip("/"):
        raise InvalidOption(f"--libvirt-share: {target!r} cannot be a place to mount")
    return Share(source, target, mode == "ro")
