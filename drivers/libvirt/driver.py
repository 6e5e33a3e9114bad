"""The libvirt driver: a virtual machine made of a copy-on-write disk, a seed for cloud-init and a domain.

Everything is found by names that follow from the machine's id, so an interrupted create goes on, and a remove
finds all there is, whatever the record says.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pymachine.drivers.base import Context, Driver, Finding, Seen, Snapshot, State
from pymachine.drivers.libvirt import (
    batches,
    boot,
    console,
    domains,
    identity,
    networks,
    resizing,
    seeding,
)
from pymachine.drivers.libvirt import options as libvirt_options
from pymachine.drivers.libvirt.addresses import Found
from pymachine.drivers.libvirt.connection import connect, libvirt, told
from pymachine.drivers.libvirt.domains import Disk, Host, Names
from pymachine.drivers.libvirt.options import Nic
from pymachine.drivers.libvirt.storage import Storage
from pymachine.drivers.options import to_json
from pymachine.machine.errors import DriverError
from pymachine.machine.ssh.base import SSHEndpoint

if TYPE_CHECKING:
    from pymachine.drivers.libvirt.copies import Copies
    from pymachine.drivers.libvirt.images.library import VMImage
    from pymachine.drivers.libvirt.snapshots import Inside

# Modules that only some commands need are imported where they are used: a list of machines is not to wait for them.

ENGINE_PORT = 2376
CONSOLE_TAIL = 2000
"""Bytes of the console that are quoted when something fails."""
RESOURCES = ("address", "address_from", "image", "domain", "forwards", "clone_of")
"""What this driver keeps in the record."""


class LibvirtDriver(Driver):
    """A virtual machine on a libvirt host."""

    name = "libvirt"
    description = "Virtual machines by libvirt and QEMU/KVM, here or on another host"
    Options = libvirt_options.Options

    def __init__(self, options: libvirt_options.Options, context: Context) -> None:
        super().__init__(options, context)
        self.options: libvirt_options.Options = options
        self._names = Names.of(context)

    @functools.cached_property
    def _connection(self) -> Any:
        return connect(self.options.uri)

    @functools.cached_property
    def _storage(self) -> Storage:
        return Storage(self._connection, self.options)

    @functools.cached_property
    def _host(self) -> Host:
        with told("asking libvirt about its host"):
            return Host.ask(self._connection)

    @functools.cached_property
    def _nics(self) -> list[Nic]:
        return domains.with_macs(self.options.networks(), self.context.machine_id)

    @functools.cached_property
    def _domain_type(self) -> str:
        from pymachine.drivers.libvirt import hosting

        return hosting.resolve(self._connection, self.options, self._host, self.context.report)

    @property
    def _user_nic(self) -> Nic | None:
        return next((nic for nic in self._nics if nic.kind == "user"), None)

    def pre_create_check(self) -> None:
        """Libraries, daemon, permission, domain type, pool, network, image, disk and memory: each with its remedy."""
        from pymachine.drivers.libvirt import checks

        checks.check(self.options)

    @classmethod
    def doctor(cls) -> list[Finding]:
        """Each thing that a machine needs, with the options of the environment."""
        from pymachine.drivers.libvirt import checks

        return checks.doctor()

    def create(self) -> None:
        """Make and start the machine, or go on with an interrupted create."""
        deadline = time.monotonic() + self.context.timeout
        self._step("create.pool", self._make_pool, pool=self.options.pool)
        self._step("create.networks", self._make_networks)
        if self._domain() is None:
            self._make_domain(deadline)
        self._step("create.boot", lambda: self._boot(deadline), domain=self._names.domain)

    def start(self) -> None:
        """Start a stopped machine, or let a paused one go on; fine when running."""
        self._require_domain()
        if not self.options.session:
            self._make_networks()
        self.context.resources.update(self._boot(time.monotonic() + self.context.timeout))
        self.context.save()

    def stop(self) -> None:
        """Press the power button and wait; fine when stopped. Raises `DeadlineExceeded` when it does not go."""
        domain = self._domain()
        if domain is not None:
            remedy = f"pymachine kill {self.context.name} stops it at once"
            with told("stopping the machine"):
                boot.power_off(domain, self.context.timeout, self._console_end, remedy)

    def kill(self) -> None:
        """Cut the power; fine when stopped."""
        domain = self._domain()
        if domain is not None:
            with told("killing the machine"):
                domains.destroy(domain)

    def remove(self) -> None:
        """Remove domain, disks, seed, console log and kept addresses; fine when there is nothing."""
        domain = self._domain()
        with told("removing the machine"):
            if domain is not None:
                domains.destroy(domain)
                domains.undefine(domain)
            self._remove_volumes()
            for nic in self._reserved():
                networks.release(self._connection, nic, self.context.name)
        if any([self.context.resources.pop(name, None) for name in RESOURCES]):
            self.context.save()

    def state(self) -> State:
        """As libvirt says; Error when the domain has vanished, none when create has not made anything."""
        with told("asking for the machine's state"):
            domain = self._domain()
            if domain is None:
                return State.ERROR if self.context.resources.get("address") else State.NONE
            return domains.state(domain)

    def address(self) -> str:
        """The address it had at its last start."""
        address = self.context.resources.get("address")
        if not address:
            raise DriverError(f'machine "{self.context.name}" has no address yet')
        return str(address)

    def engine_port(self) -> int:
        """In a session the URL has a port of this computer, which is forwarded to this one."""
        return ENGINE_PORT

    def engine_url(self) -> str:
        """On this computer's loopback for QEMU's own network, else at the machine's address."""
        forwards = self.context.resources.get("forwards")
        return f"tcp://127.0.0.1:{forwards[str(ENGINE_PORT)]}" if forwards else super().engine_url()

    def ssh_endpoint(self) -> SSHEndpoint:
        """With the key and the pinned host key in the machine's directory."""
        directory = self.context.directory
        return SSHEndpoint(
            self.address(),
            self.options.ssh_user,
            port=self._ssh_port(),
            key_path=directory / "id_ed25519",
            known_hosts=directory / "known_hosts",
        )

    def batch(self) -> str:
        """Machines of one connection are asked for together."""
        return self.options.uri

    @classmethod
    def states(cls, drivers: Sequence[Driver]) -> Mapping[str, Seen]:
        """All machines of a connection at once."""
        return batches.seen(drivers[0].options.uri, drivers)

    def snapshots(self) -> list[Snapshot]:
        """All, the oldest first."""
        return self._snapshots().listed()

    def create_snapshot(self, name: str) -> None:
        """Keep the state now, of a running machine with its memory."""
        self._snapshots().create(name)

    def restore_snapshot(self, name: str) -> None:
        """Bring that state back; a machine that ran then runs, and answers, when this returns."""
        self._snapshots().restore(name)
        if self._require_domain().isActive():
            self.context.resources.update(self._boot(time.monotonic() + self.context.timeout))
            self.context.save()

    def remove_snapshot(self, name: str) -> None:
        """Forget that state."""
        self._snapshots().remove(name)

    def _snapshots(self) -> Inside | Copies:
        from pymachine.drivers.libvirt.snapshots import of

        return of(self._require_domain(), self._storage, self._names)

    def attach_console(self, read: Callable[[], bytes], write: Callable[[bytes], None]) -> None:
        """The serial console of a running machine."""
        domain = self._require_domain()
        if not domain.isActive():
            raise DriverError("Host is not running")
        console.attach(self._connection, domain, read, write)

    def resize(self, *, cpus: int = 0, memory: str = "", disk: str = "") -> Mapping[str, Any]:
        """CPUs and memory at the next start; the disk at once, its file system at the next boot."""
        domain = self._require_domain()
        volume = self._storage.fresh(self._names.disk) if disk else None
        return resizing.resize(domain, volume, cpus=cpus, memory=memory, disk=disk)

    def clone_options(self) -> Mapping[str, Any]:
        """The same, without a static address or one of a card: those stay this machine's own."""
        return to_json(self.options.for_a_copy())

    def clone_resources(self) -> Mapping[str, Any]:
        """The disk to be copied: of a stopped machine, for a running one is still writing to it."""
        if self._require_domain().isActive():
            raise DriverError(
                f'machine "{self.context.name}" runs; only the disk of a stopped one can be copied',
                hint=f"pymachine stop {self.context.name}",
            )
        if seeding.url_of(self._require_domain().XMLDesc()):
            raise DriverError("a machine that got its data by SMBIOS has its identity on its disk; it cannot be copied")
        return {"clone_of": self._names.disk}

    def leftovers(self) -> list[str]:
        """What is still there of the machine, in words; empty after `remove`."""
        with told("looking for what is left"):
            self._storage.refresh()
            found = [f"domain {self._names.domain}"] if self._domain() is not None else []
            found += [
                f"volume {volume.name()}" for volume in self._storage.volumes() if self._names.is_ours(volume.name())
            ]
            for nic in self._reserved():
                network = networks.find(self._connection, nic.source)
                if network is not None and nic.mac in networks.reservations(network.XMLDesc()):
                    found.append(f"address {nic.address}")
        return found

    def _step(self, name: str, action: Callable[[], dict[str, Any]], **facts: Any) -> None:
        """One journalled step; each action finds out itself what is there already."""
        self.context.journal.begin(name, **facts)
        with told(f'the step "{name}"'):
            made = action()
        self.context.resources.update(made)
        self.context.save()
        self.context.journal.complete(name, **made)

    def _make_pool(self) -> dict[str, Any]:
        self._storage.ensure()
        return {"domain": self._names.domain}

    def _make_networks(self) -> dict[str, Any]:
        for source in dict.fromkeys(nic.source for nic in self._nics if nic.kind == "network"):
            networks.ensure(self._connection, source, local=self.options.local)
        for nic in self._reserved():
            networks.reserve(self._connection, nic, self.context.name)
        return {}

    def _reserved(self) -> list[Nic]:
        """Cards whose static address the network's own DHCP server gives them."""
        return [nic for nic in self._nics if nic.kind == "network" and nic.address]

    def _make_domain(self, deadline: float) -> None:
        """Disks, seed and domain. Until the domain is defined the seed is written anew at each attempt, since an
        interrupted one may have left it half written; afterwards it is the machine's and never touched."""
        self._step("create.disks", lambda: self._make_disks(deadline), disk=self._names.disk)
        self._step("create.seed", self._write_seed, seed=self._names.seed)
        self._step("create.domain", self._define, domain=self._names.domain)

    def _make_disks(self, deadline: float) -> dict[str, Any]:
        made: dict[str, Any] = {}
        original = self.context.resources.get("clone_of")
        if original:
            self._storage.copy(self._names.disk, str(original))
        elif self._storage.volume(self._names.disk) is None:
            image = self._image()
            base = self._storage.base(image, self.context.report, deadline)
            self._storage.overlay(self._names.disk, max(self.options.disk_bytes(), base.capacity), base)
            made["image"] = image.digest
        for number, size in enumerate(self.options.extra_disks(), 1):
            self._storage.overlay(self._names.extra(number), size)
        return made

    def _image(self) -> VMImage:
        from pymachine.drivers.libvirt.images.fetch import obtain
        from pymachine.drivers.libvirt.images.library import Library

        return obtain(
            self.options.image,
            checksum=self.options.image_checksum,
            architecture=self.options.arch or self._host.architecture,
            report=self.context.report,
            library=Library(),
        )

    def _write_seed(self) -> dict[str, Any]:
        from pymachine.drivers.libvirt import seed

        contents = seed.files(seed.prepare(self.context, self.options, self._nics))
        if self.options.seed == "smbios":
            seeding.keep(self.context.directory, contents)
        else:
            self._storage.upload(self._names.seed, seed.iso(contents))
        return {}

    def _define(self) -> dict[str, Any]:
        forwards = domains.free_ports(self.options.ssh_port, ENGINE_PORT) if self._user_nic else {}
        text = domains.describe(
            replace(self.options, domain_type=self._domain_type),
            self.context,
            self._host,
            self._nics,
            disks=list(self._disks()),
            folder=self._storage.folder(),
            seed_url=seeding.new_url(self._connection, self._nics[0]) if self.options.seed == "smbios" else "",
            forwards=forwards,
        )
        domain = self._connection.defineXML(text)
        if self.options.autostart:
            domain.setAutostart(1)
        return {"forwards": {str(guest): ours for guest, ours in forwards.items()}} if forwards else {}

    def _disks(self) -> Iterator[Disk]:
        names = [self._names.disk, *(self._names.extra(n + 1) for n in range(len(self.options.extra_disk)))]
        for index, name in enumerate(names):
            path, backing, kind = self._storage.layers(name)
            yield Disk(path, f"vd{chr(ord('a') + index)}", f"disk{index}", backing, kind)

    def _boot(self, deadline: float) -> dict[str, Any]:
        """Start unless running, and wait for the address and for SSH."""
        domain = self._require_domain()
        if self.options.wait:
            deadline = time.monotonic() + self.options.wait
        contents = seeding.kept(self.context.directory)
        if not contents:
            return self._come_up(domain, deadline)
        domains.destroy(domain)  # one that asked for its data in vain does not ask again
        with seeding.served(seeding.url_of(domain.XMLDesc()), contents) as served:
            found = self._come_up(domain, deadline)
            served.wait(deadline, self._console_end)
        seeding.forget(self.context.directory)
        return found

    def _come_up(self, domain: Any, deadline: float) -> dict[str, Any]:
        boot.power_on(domain, self.context.report)
        forwards = self._forwards()
        if forwards:
            found = Found("127.0.0.1", "forwarded ports")
        else:
            found = boot.wait_for_address(domain, [nic.mac for nic in self._nics], deadline, self._console_end)
            self.context.report(f"Address {found.address} (told by: {found.told_by})")
        port = forwards.get(self.options.ssh_port, self.options.ssh_port)
        boot.wait_for_ssh(domain, found.address, port, deadline, self._console_end)
        identity.pin_host_key(self.context.directory, found.address, port)
        known = self.context.resources
        told_before = known.get("address_from") if known.get("address") == found.address else ""
        return {"address": found.address, "address_from": told_before or found.told_by}

    def _forwards(self) -> dict[int, int]:
        """Our ports by the guest's; empty unless the machine is on QEMU's own network."""
        noted = {int(guest): int(ours) for guest, ours in self.context.resources.get("forwards", {}).items()}
        if self._user_nic and not noted:  # a crash came between the definition and the note
            noted = domains.forwards(self._require_domain().XMLDesc())
            self.context.resources["forwards"] = {str(guest): ours for guest, ours in noted.items()}
        return noted

    def _ssh_port(self) -> int:
        return self._forwards().get(self.options.ssh_port, self.options.ssh_port)

    def _domain(self) -> Any | None:
        with told("looking for the machine"):
            return domains.find(self._connection, self.context.machine_id)

    def _require_domain(self) -> Any:
        domain = self._domain()
        if domain is None:
            raise DriverError(
                f'libvirt has no domain of machine "{self.context.name}" any more: it was undefined by other means',
                hint=f"pymachine rm {self.context.name}   removes what is left of it",
            )
        return domain

    def _remove_volumes(self) -> None:
        self._storage.refresh()  # the console log was not made by libvirt
        for name in [volume.name() for volume in self._storage.volumes()]:
            if self._names.is_ours(name):
                self._storage.delete(name)

    def _console_end(self) -> str:
        """The last lines of the console log, on one line; empty when there is none."""
        try:
            data = self._storage.tail(self._names.console, CONSOLE_TAIL)
        except (libvirt().libvirtError, DriverError):
            return ""
        return boot.last_lines(data)
