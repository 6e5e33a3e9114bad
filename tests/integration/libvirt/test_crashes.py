"""SIGKILL at every journal step of create and of remove, and behind every call that changes something.

Up to the power-on nothing of a machine needs a guest, so these machines' disks hold noise; whatever comes after it is
for machines that boot.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pymachine.drivers.base import State
from pymachine.drivers.libvirt import LibvirtDriver, networks
from pymachine.drivers.libvirt.boot import speaks_ssh
from pymachine.drivers.libvirt.connection import connect
from pymachine.drivers.libvirt.options import Options
from pymachine.drivers.libvirt.storage import Storage, is_base
from pymachine.drivers.testing import Workbench
from pymachine.machine.operations.together import together
from support.libvirtcrash import Attempt, at_first_other_than, at_name, at_number, attempt
from support.libvirthost import LibvirtHost, members, mount_namespace

pytestmark = [pytest.mark.root, pytest.mark.slow]
POWERED_ON = "virDomain.create #1"
STEPS = ("create.pool", "create.networks", "create.disks", "create.seed", "create.domain", "create.boot")
MOST = 200
"""An operation with more moments is caught in a loop."""


@dataclass(frozen=True)
class Lab:
    """Where machines are made and killed."""

    host: LibvirtHost
    place: Path
    options: Options

    def bench(self, name: str) -> Workbench:
        place = tempfile.mkdtemp(prefix=re.sub(r"\W+", "-", name), dir=self.place)
        return Workbench(Path(place), name="crash", timeout=900)

    def run(self, bench: Workbench, verb: str, stop: Any, **changes: Any) -> Attempt:
        return attempt(bench, replace(self.options, **changes), verb, stop, bench.directory / "moments")

    def driver(self, bench: Workbench, **changes: Any) -> LibvirtDriver:
        return LibvirtDriver(replace(self.options, **changes), bench.context())

    def forget_surroundings(self, *, network: bool = True) -> None:
        """Pool and image go, and the network, so that the next create has to make them."""
        connection = connect(self.options.uri)
        found, pool = networks.find(connection, "default"), Storage(connection, self.options).find()
        if network and found is not None:
            with contextlib.suppress(Exception):
                found.destroy()
            found.undefine()
        if pool is not None:
            if pool.isActive():
                for volume in pool.listAllVolumes():
                    volume.delete()
                pool.destroy()
            pool.undefine()

    def traces(self, bench: Workbench) -> list[str]:
        """All that there is of the machine, as libvirt, the folders and the process list tell."""
        found = self.driver(bench).leftovers()
        found += [name for name in self.files(self.options.pool_path) if not is_base(name.removesuffix(".whole"))]
        found += self.files(f"{self.host.folder}/var/lib/libvirt/qemu/nvram")
        return found + self.guests()

    @staticmethod
    def files(folder: str) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return sorted(os.listdir(folder))
        return []

    def guests(self) -> list[str]:
        """QEMU's processes."""
        inside = members({mount_namespace(process.pid) for process in self.host.processes})
        names = []
        for pid in inside:
            with contextlib.suppress(OSError):
                names.append(Path(f"/proc/{pid}/comm").read_text().strip())
        return [name for name in names if name.startswith("qemu")]


@pytest.fixture(scope="module")
def lab(libvirt_system: LibvirtHost, own_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """With UEFI, a kept address and a further disk: the kinds of things that a machine can leave behind."""
    place = tmp_path_factory.mktemp("crashes")
    noise = place / "noise.raw"
    noise.write_bytes(os.urandom(2 << 20))
    options = Options(
        uri=libvirt_system.uri,
        image=str(noise),
        domain_type="qemu",
        cpus=1,
        memory="256m",
        disk="1g",
        extra_disk=("8m",),
        firmware="uefi",
        network=("network:default,address=192.168.122.77/24",),
        pool="crashes",
        pool_path=f"{libvirt_system.pool}/crashes",
    )
    made = Lab(libvirt_system, place, options)
    yield made
    made.forget_surroundings()


@pytest.fixture(scope="module")
def whole(lab: Lab) -> tuple[tuple[str, ...], Any]:
    """The moments of a create up to the power-on when everything has to be made, and what there is then."""
    lab.forget_surroundings()
    bench = lab.bench("whole")
    done = lab.run(bench, "create", partial(at_name, POWERED_ON))
    assert done.killed
    made = _made(lab, bench)
    lab.driver(bench).remove()
    assert lab.traces(bench) == []
    return done.moments, made


def _made(lab: Lab, bench: Workbench) -> Any:
    """Domain, volumes and kept address, without what is each machine's own."""
    driver = lab.driver(bench)
    domain = driver._require_domain()
    assert domain.isActive()
    tree = ElementTree.fromstring(domain.XMLDesc(2))  # VIR_DOMAIN_XML_INACTIVE: as defined
    text = ElementTree.tostring(tree, encoding="unicode").replace(bench.machine_id, "ID").replace(domain.name(), "NAME")
    (nic,) = driver._nics
    volumes = {
        volume.name().replace(domain.name(), "NAME"): volume.info()[:2]
        for volume in driver._storage.volumes()
        if not volume.name().endswith("console.log")
    }
    network = networks.find(driver._connection, "default")
    assert network is not None
    kept = networks.reservations(network.XMLDesc())[nic.mac]
    return text.replace(nic.mac, "MAC"), volumes, str(kept), domain.state()[0]


def _killed(lab: Lab, moments: tuple[str, ...]) -> Iterator[tuple[str, Workbench]]:
    """For every moment a machine that was killed there in its create, where there was no pool with its image yet. The
    network, which takes the longest, is made anew while the moments are those of its step."""
    made = moments.index("completing create.networks #1")
    for number, moment in enumerate(moments):
        lab.forget_surroundings(network=number <= made)
        bench = lab.bench(f"{number}-{moment}")
        done = lab.run(bench, "create", partial(at_name, moment))
        assert done.killed, moment
        assert done.moments[-1] == moment
        yield moment, bench


def test_every_step_has_its_moments(whole: tuple[tuple[str, ...], Any]) -> None:
    moments, _ = whole
    for step in STEPS:
        assert f"beginning {step} #1" in moments
        assert f"completing {step} #1" in moments or step == "create.boot"


def test_remove_after_a_create_killed_anywhere(lab: Lab, whole: tuple[tuple[str, ...], Any]) -> None:
    """Nothing is left of the machine, wherever its create ended."""
    for moment, bench in _killed(lab, whole[0]):
        lab.driver(bench).remove()
        assert lab.traces(bench) == [], moment


def test_create_goes_on_from_anywhere(lab: Lab, whole: tuple[tuple[str, ...], Any]) -> None:
    """The second create makes what the first would have made, once, and powers it on."""
    moments, made = whole
    for moment, bench in _killed(lab, moments):
        if moment != POWERED_ON:
            assert lab.run(bench, "create", partial(at_name, POWERED_ON)).killed, moment
        assert _made(lab, bench) == made, moment
        assert len(lab.guests()) == 1, moment
        lab.driver(bench).remove()
        assert lab.traces(bench) == [], moment


def test_remove_goes_on_from_anywhere(lab: Lab, whole: tuple[tuple[str, ...], Any]) -> None:
    """A remove that was killed can be repeated, and finds the rest."""
    number, killed = 1, True
    while killed:
        assert number < MOST
        bench = lab.bench(f"remove-{number}")
        assert lab.run(bench, "create", partial(at_name, POWERED_ON)).killed
        done = lab.run(bench, "remove", partial(at_number, number))
        killed, number = done.killed, number + 1
        lab.driver(bench).remove()
        assert lab.traces(bench) == [], done.moments[-1:]
    for call in ("virDomain.destroy", "virDomain.undefineFlags", "virStorageVol.delete", "virNetwork.update"):
        assert f"{call} #1" in done.moments


def test_one_machine_survives_every_kill(lab: Lab, tiny_image: str) -> None:
    """The same machine, killed at each moment in turn on its way to a guest that answers."""
    lab.forget_surroundings()
    bench, seen, kills = lab.bench("survivor"), set[str](), 0
    changes = {"image": tiny_image, "firmware": "bios"}
    while (done := lab.run(bench, "create", partial(at_first_other_than, frozenset(seen)), **changes)).killed:
        seen.update(done.moments)
        kills += 1
        assert kills < MOST
    driver = lab.driver(bench, **changes)
    once_defined = {"completing create.domain #1"}  # who finds the domain does not define it again
    assert {f"completing {step} #1" for step in STEPS} - once_defined <= seen
    assert driver.state() is State.RUNNING
    assert speaks_ssh(driver.address(), 22)
    assert len(lab.guests()) == 1
    driver.remove()
    assert lab.traces(bench) == []


def test_remove_after_a_create_killed_at_its_very_end(lab: Lab, tiny_image: str) -> None:
    """The moments behind the boot, each on a guest of its own; they boot at once."""
    lab.forget_surroundings()
    changes: dict[str, Any] = {"image": tiny_image, "firmware": "bios", "network": ()}
    ends = [f"saving the record #{len(STEPS)}", "completing create.boot #1"]
    benches = {moment: lab.bench(moment) for moment in ends}

    def kill_and_remove(moment: str) -> None:
        assert lab.run(benches[moment], "create", partial(at_name, moment), **changes).killed
        lab.driver(benches[moment], **changes).remove()

    for outcome in together(kill_and_remove, ends):
        assert outcome.error is None, outcome
    for bench in benches.values():
        assert lab.traces(bench) == []
