"""The local driver: systemd-nspawn hosts over copy-on-write images, on a bridge of this computer."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pymachine.drivers.base import Context, Driver, Finding, State
from pymachine.drivers.local import bridge, cgroups, jsonfile, launch, process, readiness, seed
from pymachine.drivers.local import options as local_options
from pymachine.drivers.local.endpoint import address_of, endpoint_of, pin_host_key
from pymachine.drivers.local.faults import told
from pymachine.drivers.local.images.catalog import Catalog, Image
from pymachine.drivers.local.images.recipe import DEFAULT_IMAGE
from pymachine.drivers.local.layout import Layout, MachinePaths, veth_name
from pymachine.drivers.local.locks import LOCK_SECONDS
from pymachine.drivers.local.process import Process
from pymachine.drivers.local.removal import remove_tree
from pymachine.drivers.local.resizing import resized
from pymachine.drivers.local.subnets import Lease, Leases, spread
from pymachine.machine.errors import DeadlineExceeded, DriverError
from pymachine.machine.ssh.base import SSHEndpoint

POWER_OFF = signal.SIGRTMIN + 4
"""What systemd takes for ``systemctl poweroff`` (systemd(1), Signals)."""
ASK_AGAIN_SECONDS = 2.0
"""A machine that is just booting does not hear the first request."""
KILL_SECONDS = 20.0
RESOURCES = ("address", "subnet", "image", "root")
"""What this driver keeps in the record."""
RESOLVED = Path("/run/systemd/resolve/resolv.conf")


class LocalDriver(Driver):
    """A host on this computer, sharing its kernel."""

    name = "local"
    description = "Linux hosts on this computer, sharing its kernel (systemd-nspawn)"
    Options = local_options.Options

    owner = 0
    """The number of the user whose machine it is, for whom the privileged helper works; 0 for root's own."""

    def __init__(self, options: local_options.Options, context: Context, layout: Layout | None = None) -> None:
        super().__init__(options, context)
        self.options: local_options.Options = options
        self._layout = layout or Layout.from_environment()
        self._paths: MachinePaths = self._layout.machine(context.machine_id)
        self._leases = Leases(self._layout, wait=min(context.timeout, LOCK_SECONDS))
        self._catalog = Catalog(self._layout.images)

    def pre_create_check(self) -> None:
        """Root, programs, image, cgroups, overlay, disk, subnet and mounts: all that is wrong at once."""
        from pymachine.drivers.local import checks  # for create only; every other command does without

        checks.check(self.options, self._layout)

    @classmethod
    def doctor(cls) -> list[Finding]:
        """Each thing that is missing by itself."""
        from pymachine.drivers.local import checks

        return checks.findings(cls.Options(), Layout.from_environment())

    def create(self) -> None:
        """Make and start the host, or go on with an interrupted create."""
        deadline = time.monotonic() + self.context.timeout
        self._step("create.directory", self._make_directory, directory=self.context.machine_id)
        self._step("create.image", self._pin_image, image=self.options.image or DEFAULT_IMAGE)
        self._step("create.address", self._take_address, subnet=self.options.subnet or "default")
        self._step("create.layer", self._write_layer, hostname=self.context.name)
        self._step("create.boot", lambda: self._boot(deadline), unit=launch.cgroup_name(self.context.machine_id))

    def start(self) -> None:
        """Start a stopped host; fine when running."""
        with told("starting the machine"):
            self._require_machine()
            self._boot(time.monotonic() + self.context.timeout)

    def stop(self) -> None:
        """Power the host off; fine when stopped. Raises `DeadlineExceeded` when it does not go."""
        with told("stopping the machine"):
            running = self._running()
            if running is not None:
                self._power_off(running)
            self._sweep()

    def kill(self) -> None:
        """Stop at once; fine when stopped."""
        with told("killing the machine"):
            running = self._running()
            if running is not None:
                running.signal(signal.SIGKILL)
                seconds = min(self.context.timeout, KILL_SECONDS)
                if not running.wait(seconds):
                    raise DeadlineExceeded("killing the machine", seconds, look_at=str(self._paths.console))
            self._sweep()

    def remove(self) -> None:
        """Remove the host and all that create made; fine when there is nothing."""
        self._check_root()
        self.kill()
        with told("removing the machine"):
            # First: on a full disk it makes the room that the rest needs. Who is cut off still knows whose it is.
            remove_tree(self._paths.directory, last=self._paths.record.name)
            self._leases.release(self.context.machine_id)
            self._catalog.unpin(self.context.machine_id)
            _remove_if_empty(self._layout.machines)
        if any([self.context.resources.pop(name, None) for name in RESOURCES]):
            self.context.save()

    def renamed(self) -> None:
        """Note the new name, by which images tell who uses them."""
        if self._paths.directory.is_dir():
            with told("noting the machine's new name"):
                jsonfile.write(self._paths.record, self._note())

    def resize(self, *, cpus: int = 0, memory: str = "", disk: str = "") -> Mapping[str, Any]:
        """Other limits from the next start on."""
        return resized(cpus=cpus, memory=memory, disk=disk)

    def state(self) -> State:
        """Running, Starting, Stopped; Error when its files are gone, none when create has not made anything."""
        with told("asking for the machine's state"):
            if not self._paths.directory.is_dir():
                return State.ERROR if self.context.resources.get("address") else State.NONE
            if self._running():
                return State.RUNNING
            return State.STARTING if launch.starting(self._paths) else State.STOPPED

    def address(self) -> str:
        """The address that the machine has for its whole life."""
        return address_of(self.context)

    def ssh_endpoint(self) -> SSHEndpoint:
        """Port 22, with the key and the pinned host key in the machine's directory."""
        return endpoint_of(self.context, self.options)

    def leftovers(self) -> list[str]:
        """What is still there of the machine, in words; empty after `remove`."""
        machine_id = self.context.machine_id
        found = [str(self._paths.directory)] if os.path.lexists(self._paths.directory) else []
        name = launch.cgroup_name(machine_id)
        found += [str(path) for path in cgroups.directories(name, cgroups.hierarchies()) if path.exists()]
        if Path("/sys/class/net", veth_name(machine_id)).exists():
            found.append(f"interface {veth_name(machine_id)}")
        if self._leases.find(machine_id):
            found.append("its address")
        return found + [f"pin of image {i.digest[:12]}" for i in self._catalog.images() if machine_id in i.machines]

    def _step(self, name: str, action: Callable[[], dict[str, str]], **facts: str) -> None:
        """One journalled step; each action finds out itself what is there already."""
        self.context.journal.begin(name, **facts)
        with told(f'the step "{name}"'):
            made = action()
        self.context.resources.update(made)
        self.context.save()
        self.context.journal.complete(name, **made)

    def _make_directory(self) -> dict[str, str]:
        self._paths.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        jsonfile.write(self._paths.record, self._note())
        return {"root": self._layout.identity(make=True)}

    def _note(self) -> dict[str, object]:
        """What is to be known of the machine without its record."""
        owner = jsonfile.read(self._paths.record).get("owner", self.owner)  # root may work on a user's machine
        return {"id": self.context.machine_id, "name": self.context.name, "owner": owner}

    def _pin_image(self) -> dict[str, str]:
        wanted = self.context.resources.get("image") or self.options.image or DEFAULT_IMAGE
        if self.options.build_image and self._catalog.find(wanted) is None:
            from pymachine.drivers.local.images.build import build

            build(wanted, report=self.context.report, layout=self._layout)
        return {"image": self._catalog.pin(wanted, self.context.machine_id, self._paths.directory).digest}

    def _take_address(self) -> dict[str, str]:
        lease = self._lease()
        return {"address": str(lease.address), "subnet": str(lease.subnet)}

    def _write_layer(self) -> dict[str, str]:
        lease, image, key = self._lease(), self._image(), self._authorized_key()
        identity = seed.Identity(self.context.machine_id, self.context.name, lease, key, self.options.ssh_user)
        host_key = seed.write_layer(self._paths, image.rootfs, identity)
        self._pin_host_key(str(lease.address), host_key)
        return {}

    def _authorized_key(self) -> str:
        from pymachine.machine.ssh.keys import ensure_key

        return ensure_key(self.context.directory / "id_ed25519")

    def _pin_host_key(self, address: str, host_key: str) -> None:
        pin_host_key(self.context.directory, address, host_key)

    def _boot(self, deadline: float) -> dict[str, str]:
        """Start unless running, and wait for SSH."""
        lease = self._lease()
        with launch.right_to_start(self._paths, lambda: self._running() is not None, deadline) as lock:
            if lock is not None:
                self._require_mounts()
                self._sweep()
                self._write_resolv_conf()
                self.context.report(f"Booting at {lease.address}")
                launch.start(self._launch(lease), lock)
        readiness.wait_for_banner(
            str(lease.address),
            deadline,
            alive=lambda: self._running() is not None,
            console=lambda: launch.console_end(self._paths),
        )
        return {}

    def _launch(self, lease: Lease) -> launch.Launch:
        limits = cgroups.Limits(self.options.memory_bytes(), choose_cpus(self.options.cpus, spread(lease)))
        return launch.Launch(
            self.context.machine_id, self._paths, self._image().rootfs, lease.bridge, limits, self.options.mounts()
        )

    def _lease(self) -> Lease:
        known = self.context.resources
        wanted = self.options.network()
        if wanted is None and known.get("subnet"):
            from ipaddress import IPv4Network

            wanted = IPv4Network(str(known["subnet"]))
        return self._leases.acquire(self.context.machine_id, wanted, str(known.get("address", "")))

    def _image(self) -> Image:
        digest = str(self.context.resources.get("image", ""))
        image = self._catalog.find(digest) if digest else None
        remedy = f"bring it back, or make the machine anew: pymachine rm {self.context.name}"
        if image is None:
            known = digest[:12] or "(not noted)"
            text = f'the image {known} of machine "{self.context.name}" is gone from {self._layout.images}'
            raise DriverError(text, hint=remedy)
        if why := self._catalog.damage(image):
            raise DriverError(f'the image of machine "{self.context.name}" is damaged: {why}', hint=remedy)
        return image

    def _write_resolv_conf(self) -> None:
        host_file = Path("/etc/resolv.conf")
        text = host_file.read_text(errors="replace") if host_file.exists() else ""
        uplink = RESOLVED.read_text(errors="replace") if RESOLVED.exists() else ""
        self._paths.resolv_conf.write_text(seed.resolv_conf(text, uplink))

    def _running(self) -> Process | None:
        noted = process.read(self._paths.pid)
        return noted if noted is not None and noted.alive() else None

    def _power_off(self, running: Process) -> None:
        deadline = time.monotonic() + self.context.timeout
        while time.monotonic() < deadline:
            init = process.init_of(running)
            if init is not None:
                init.signal(POWER_OFF)
            if running.wait(min(ASK_AGAIN_SECONDS, max(0.0, deadline - time.monotonic()))):
                return
        raise DeadlineExceeded(
            "waiting for the machine to power off",
            self.context.timeout,
            last_error=launch.console_end(self._paths),
            look_at=f"pymachine kill {self.context.name} stops it at once",
        )

    def _sweep(self) -> None:
        """What the kernel does not take away by itself when a machine has ended."""
        self._paths.pid.unlink(missing_ok=True)
        launch.sweep_unit(self.context.machine_id)
        cgroups.remove(launch.cgroup_name(self.context.machine_id))
        bridge.remove_port(veth_name(self.context.machine_id))

    def _check_root(self) -> None:
        """A machine of another local root would seem to be gone, and stay."""
        ours, its = self._layout.identity(), self.context.resources.get("root")
        if ours and its and ours != its:
            raise DriverError(
                f'machine "{self.context.name}" was made under another local root than {self._layout.root}',
                hint="set PYMACHINE_LOCAL_ROOT as it was when the machine was made (sudo -E keeps it)",
            )

    def _require_mounts(self) -> None:
        """What was there when the machine was created may have gone since."""
        lost = [mount.source for mount in self.options.mounts() if not os.path.exists(mount.source)]
        if lost:
            raise DriverError(
                f'{lost[0]}, which machine "{self.context.name}" mounts, is not there any more',
                hint="make it again, or the machine anew: --local-mount cannot be changed",
            )

    def _require_machine(self) -> None:
        self._check_root()
        if not self._paths.upper.is_dir():
            raise DriverError(
                f'the files of machine "{self.context.name}" are gone from {self._layout.machines}',
                hint=f"pymachine rm {self.context.name}",
            )


def choose_cpus(wanted: int, number: int) -> str:
    """A cpuset list of *wanted* CPUs that this process may use; neighbours in *number* get others first."""
    usable = sorted(os.sched_getaffinity(0))
    if not 0 < wanted < len(usable):
        return ""
    first = number * wanted
    return ",".join(str(cpu) for cpu in sorted(usable[(first + i) % len(usable)] for i in range(wanted)))


def _remove_if_empty(directory: Path) -> None:
    try:
        directory.rmdir()
    except OSError:
        return
