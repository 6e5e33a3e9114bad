"""Domains: how a machine is described to libvirt, and what libvirt says of it.

Source: libvirt.org/formatdomain.html and libvirt-domain.html.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from xml.etree import ElementTree

from pymachine.drivers.base import Context, State
from pymachine.drivers.libvirt.connection import libvirt, missing
from pymachine.drivers.libvirt.options import Nic, Options
from pymachine.drivers.libvirt.templating import xml

NESTED = {"Intel": "vmx", "AMD": "svm"}
USER_SLOT = {"q35": "bus=pcie.0,addr=0x10", "pc": "bus=pci.0,addr=0x1e", "virt": "bus=pcie.0,addr=0x10"}
"""A slot that libvirt does not give away by itself: it fills root ports, or slots from 1 on."""


@dataclass(frozen=True, slots=True)
class Names:
    """What a machine's things are called; all follow from its id and name."""

    domain: str

    @classmethod
    def of(cls, context: Context) -> Names:
        """The domain bears the machine's first name, and a part of its id, for the name may be taken in another store.
        A machine that is renamed keeps what it has: libvirt renames no volumes."""
        return cls(context.resources.get("domain") or f"{context.name}-{context.machine_id[:8]}")

    @property
    def disk(self) -> str:
        return f"{self.domain}.qcow2"

    @property
    def seed(self) -> str:
        return f"{self.domain}-seed.iso"

    @property
    def nvram(self) -> str:
        """What UEFI keeps between boots; libvirt makes it at the first start."""
        return f"{self.domain}-nvram.fd"

    @property
    def console(self) -> str:
        return f"{self.domain}-console.log"

    def extra(self, number: int) -> str:
        """An extra disk, from 1."""
        return f"{self.domain}-disk{number}.qcow2"

    def is_ours(self, volume: str) -> bool:
        """Whether a volume belongs to the machine."""
        rest = volume.removeprefix(self.domain)
        return rest != volume and (
            rest in (".qcow2", "-seed.iso", "-nvram.fd")
            or rest.startswith(("-snapshot-", "-console.log"))  # virtlogd(8) keeps older parts as .log.0 and so on
            or (rest.startswith("-disk") and rest.endswith(".qcow2"))
        )


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk of a domain; paths are of the libvirt host."""

    path: str
    device: str
    serial: str
    backing: str = ""
    backing_format: str = ""


@dataclass(frozen=True, slots=True)
class Host:
    """What the libvirt host is."""

    architecture: str
    cpu_vendor: str

    @classmethod
    def ask(cls, connection: Any) -> Host:
        """From the connection's capabilities."""
        cpu = ElementTree.fromstring(connection.getCapabilities()).find("host/cpu")
        if cpu is None:
            return cls("x86_64", "")
        return cls(cpu.findtext("arch") or "x86_64", cpu.findtext("vendor") or "")


def with_macs(nics: Sequence[Nic], machine_id: str) -> list[Nic]:
    """Each card with an address: the same whenever it is asked for, so that a machine keeps its lease."""
    made = []
    for index, nic in enumerate(nics):
        digest = hashlib.sha256(f"{machine_id}/{index}".encode()).hexdigest()
        mac = nic.mac or "52:54:00:" + ":".join(digest[at : at + 2] for at in (0, 2, 4))
        made.append(replace(nic, mac=mac))
    return made


def describe(
    options: Options,
    context: Context,
    host: Host,
    nics: Sequence[Nic],
    *,
    disks: Sequence[Disk],
    folder: str,
    seed_url: str = "",
    forwards: Mapping[int, int] | None = None,
) -> str:
    """The domain's XML. *folder* is the pool's, *forwards* are ports of this computer's loopback by the guest's, for
    a card of kind user; with *seed_url* there is no seed disk."""
    names = Names.of(context)
    arch = options.arch or host.architecture
    machine = options.machine_of(host.architecture)
    shares = [
        {"source": share.source, "tag": f"share{number}", "read_only": share.read_only}
        for number, share in enumerate(options.shares())
    ]
    user = next((nic for nic in nics if nic.kind == "user"), None)
    facts = {
        "type": options.domain_type,
        "name": names.domain,
        "uuid": context.machine_id,
        "machine_name": context.name,
        "store_id": context.store_id,
        "memory": options.memory_bytes(),
        "cpus": options.cpus,
        "hugepages": options.hugepages,
        "virtiofs": bool(shares) and options.share_type == "virtiofs",
        "uefi": options.firmware == "uefi" or arch == "aarch64",
        "arch": arch,
        "machine": machine,
        "cpu_mode": options.cpu_mode or ("host-passthrough" if options.domain_type == "kvm" else "maximum"),
        "nested_feature": _nested_feature(options, host),
        "disks": disks,
        "seed": "" if seed_url else f"{folder}/{names.seed}",
        "serial": _serial(context, seed_url),
        "nvram": f"{folder}/{names.nvram}",
        "shares": shares,
        "nics": [nic for nic in nics if nic.kind != "user"],
        "console_log": f"{folder}/{names.console}",
        # Of no use on QEMU's own network, and its socket's path is too long in some home directories.
        "agent": any(nic.kind != "user" for nic in nics),
        "forwards": _hostfwd(forwards or {}) if user else "",
        "user_mac": user.mac if user else "",
        "user_slot": next((slot for kind, slot in USER_SLOT.items() if kind in machine), USER_SLOT["pc"]),
    }
    return xml("domain", d=facts)


def _serial(context: Context, seed_url: str) -> str:
    """DMI's serial number pins cloud-init to its datasource NoCloud, so that it looks for no other cloud.

    The word ``nocloud-net`` is that of older releases for data from a URL; newer ones know it still.
    """
    return f"ds=nocloud-net;i={context.machine_id};h={context.name};s={seed_url}" if seed_url else "ds=nocloud"


def _nested_feature(options: Options, host: Host) -> str:
    """The CPU feature that guests need for guests of their own; QEMU's emulated CPUs have AMD's."""
    if not options.nested:
        return ""
    return NESTED.get(host.cpu_vendor, "") if options.domain_type == "kvm" else NESTED["AMD"]


def _hostfwd(forwards: Mapping[int, int]) -> str:
    return ",".join(f"hostfwd=tcp:127.0.0.1:{ours}-:{guests}" for guests, ours in sorted(forwards.items()))


def free_ports(*guests: int) -> dict[int, int]:
    """For each of the guest's ports one of this computer's loopback that is free now."""
    with contextlib.ExitStack() as stack:
        ends = [stack.enter_context(socket.socket()) for _ in guests]
        for end in ends:
            end.bind(("127.0.0.1", 0))
        return {guest: end.getsockname()[1] for guest, end in zip(guests, ends, strict=True)}


def forwards(domain_xml: str) -> dict[int, int]:
    """What `describe` was given, read back: our ports by the guest's."""
    namespace = "{http://libvirt.org/schemas/domain/qemu/1.0}"
    arguments = ElementTree.fromstring(domain_xml).findall(f"{namespace}commandline/{namespace}arg")
    words = " ".join(argument.get("value", "") for argument in arguments)
    return {int(guest): int(ours) for ours, guest in re.findall(r"hostfwd=tcp:127\.0\.0\.1:(\d+)-:(\d+)", words)}


def mounts(options: Options) -> Iterator[list[str]]:
    """The lines of the guest's fstab for its shared folders."""
    for number, share in enumerate(options.shares()):
        mode = "ro" if share.read_only else "rw"
        if options.share_type == "virtiofs":
            yield [f"share{number}", share.target, "virtiofs", f"{mode},nofail", "0", "0"]
        else:
            yield [f"share{number}", share.target, "9p", f"trans=virtio,version=9p2000.L,{mode},nofail", "0", "0"]


def find(connection: Any, machine_id: str) -> Any | None:
    """The machine's domain, whatever it is called by now; ``None`` when there is none."""
    try:
        return connection.lookupByUUIDString(machine_id)
    except libvirt().libvirtError as error:
        if missing(error, "VIR_ERR_NO_DOMAIN"):
            return None
        raise


def state(domain: Any) -> State:
    """In docker-machine's words."""
    number = domain.state()[0]
    return named(number, saved=number == libvirt().VIR_DOMAIN_SHUTOFF and bool(domain.hasManagedSaveImage()))


def named(number: int, *, saved: bool) -> State:
    """One of libvirt's states in docker-machine's words; *saved* when the memory of a domain that is off is kept."""
    module = libvirt()
    return {
        module.VIR_DOMAIN_RUNNING: State.RUNNING,
        module.VIR_DOMAIN_BLOCKED: State.RUNNING,
        module.VIR_DOMAIN_PAUSED: State.PAUSED,
        module.VIR_DOMAIN_SHUTDOWN: State.STOPPING,
        module.VIR_DOMAIN_SHUTOFF: State.SAVED if saved else State.STOPPED,
        module.VIR_DOMAIN_PMSUSPENDED: State.SAVED,
    }.get(number, State.ERROR)


def destroy(domain: Any) -> None:
    """Cut the power; fine when it is off."""
    with _fine_when_off(domain):
        domain.destroy()


@contextlib.contextmanager
def _fine_when_off(domain: Any) -> Iterator[None]:
    try:
        yield
    except libvirt().libvirtError as error:
        gone = missing(error, "VIR_ERR_NO_DOMAIN")
        if not gone and domain.isActive():
            raise


def ask_to_stop(domain: Any) -> None:
    """Press the power button; fine when it is off."""
    with _fine_when_off(domain):
        domain.shutdown()


def undefine(domain: Any) -> None:
    """Forget the domain with its NVRAM, saved state and snapshots' records; fine when it is gone."""
    module = libvirt()
    flags = (
        module.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | module.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | module.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
        | module.VIR_DOMAIN_UNDEFINE_NVRAM
    )
    try:
        domain.undefineFlags(flags)
    except module.libvirtError as error:
        if not missing(error, "VIR_ERR_NO_DOMAIN"):
            raise
