"""One machine with Debian that has what the others have not: data by SMBIOS, shared folders, a second network whose
leases libvirt does not know, machines of its own."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import pytest

from pymachine.drivers.libvirt import LibvirtDriver, addresses, seeding
from pymachine.drivers.libvirt.options import Options
from pymachine.drivers.testing import Workbench
from pymachine.machine.errors import DriverError
from support.libvirthost import LibvirtHost

pytestmark = [pytest.mark.root, pytest.mark.slow]
BOOT = 1800.0
"""Seconds; emulated, on a computer that does other things too."""
T = TypeVar("T")
BRIDGE, MAC, ADDRESS = "pymtestbr0", "52:54:00:aa:bb:07", "198.51.100.7"


class Guest:
    """The machine, by a new driver for each operation."""

    def __init__(self, bench: Workbench, options: Options) -> None:
        self.bench = bench
        self.options = options
        self.told: list[str] = []

    def driver(self, **changes: object) -> LibvirtDriver:
        context = self.bench.context()
        context.report = self.told.append
        return LibvirtDriver(replace(self.options, **changes), context)  # type: ignore[arg-type]

    def says(self, command: str, *, fails: bool = False, **changes: object) -> str:
        """Standard output of a command in the machine. A server that is not to be reached is asked again (ssh(1) ends
        with 255): cloud-init starts it anew when it has set it up."""
        end = self.driver(**changes).ssh_endpoint()
        known = ["-o", f"UserKnownHostsFile={end.known_hosts}", "-o", "StrictHostKeyChecking=yes"]
        argv = ["ssh", "-F", "none", "-i", str(end.key_path), *known, f"{end.user}@{end.host}", command]
        done = eventually(lambda: _reached(subprocess.run(argv, capture_output=True, text=True, timeout=BOOT)))
        assert (done.returncode != 0) is fails, done.stderr
        return done.stdout.strip()


def eventually(ask: Callable[[], T | None]) -> T:
    """What is told once something is."""
    end = time.monotonic() + BOOT
    while not (told := ask()):
        assert time.monotonic() < end
        time.sleep(0.5)
    return told


def _reached(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str] | None:
    return None if done.returncode == 255 and re.search("refused|closed|reset|timed out", done.stderr) else done


@pytest.fixture(scope="module")
def guest(libvirt_system: LibvirtHost, debian_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    place = tmp_path_factory.mktemp("guest")
    for name in ("ours <&", "kept"):
        (libvirt_system.folder / name).mkdir()
        (libvirt_system.folder / name / "greeting").write_text("from the host\n")
    subprocess.run(["ip", "link", "add", BRIDGE, "type", "bridge"], check=True)
    options = Options(
        uri=libvirt_system.uri,
        image=debian_image,
        domain_type="qemu",
        memory="768m",
        disk="3g",
        pool="guest",
        pool_path=f"{libvirt_system.pool}/guest",
        network=("network:default", f"bridge:{BRIDGE},mac={MAC}"),
        share=(f"{libvirt_system.folder}/ours <&:/ours", f"{libvirt_system.folder}/kept:/kept:ro"),
        seed="smbios",
        nested=True,
    )
    made = Guest(Workbench(place / "m", name="guest", timeout=BOOT), options)
    try:
        subprocess.run(["ip", "address", "add", "198.51.100.1/24", "dev", BRIDGE], check=True)
        subprocess.run(["ip", "link", "set", BRIDGE, "up"], check=True)
        made.driver().pre_create_check()
        made.driver().create()
        yield made
    finally:
        made.driver().remove()
        left = made.driver().leftovers()
        subprocess.run(["ip", "link", "delete", BRIDGE], check=True)
    assert left == []


def test_its_data_came_by_smbios_and_were_needed_once(guest: Guest) -> None:
    domain = guest.driver()._require_domain()
    url = seeding.url_of(domain.XMLDesc())
    assert "seed.iso" not in domain.XMLDesc()
    assert not (guest.bench.store / seeding.FILE).exists()
    assert guest.says("hostname; id -un").split() == ["guest", "pymachine"]
    assert url in guest.says("sudo cat /var/lib/cloud/instance/datasource")
    assert (
        guest.says(f"sudo curl -sS {url}user-data || wget -qO- {url}user-data || echo nobody there") == "nobody there"
    )

    # As at the next boot, at which /run is empty: nobody is asked for what the machine knows.
    again = "cloud-init status --wait >&2; sudo rm -f /run/cloud-init/.instance-id; sudo cloud-init init --local >&2"
    seen = guest.says(f"{again}; sudo grep check-cache: /var/log/cloud-init.log | tail -n 1")
    assert "restored from checked cache: DataSourceNoCloudNet" in seen
    assert url in guest.says("sudo cat /var/lib/cloud/instance/datasource")


def test_folders_are_shared(guest: Guest, libvirt_system: LibvirtHost) -> None:
    ours, kept = libvirt_system.folder / "ours <&", libvirt_system.folder / "kept"
    assert guest.says("cat /ours/greeting; findmnt -no FSTYPE /ours") == "from the host\nvirtiofs"
    guest.says("echo from the machine | sudo tee /ours/answer")
    assert (ours / "answer").read_text() == "from the machine\n"
    (ours / "later").write_text("x")
    assert guest.says("ls /ours").split() == ["answer", "greeting", "later"]
    assert guest.says("cat /kept/greeting") == "from the host"
    guest.says("sudo touch /kept/answer", fails=True)
    assert os.listdir(kept) == ["greeting"]


def test_it_could_have_machines_of_its_own(guest: Guest) -> None:
    assert "svm" in guest.says("grep -m1 ^flags /proc/cpuinfo").split()


def test_its_agent_and_then_arp_tell_the_address_that_no_lease_has(guest: Guest) -> None:
    card = guest.says(f"ip -br link | awk '/{MAC}/ {{print $1}}'")
    guest.says(f"sudo ip link set {card} up && sudo ip address add {ADDRESS}/24 dev {card}")
    domain = guest.driver()._require_domain()
    eventually(lambda: addresses.find(domain, [MAC]).address)
    assert addresses.find(domain, [MAC]) == addresses.Found(ADDRESS, "guest agent")
    first = guest.driver().address()
    only = {"network": (f"bridge:{BRIDGE},mac={MAC}",)}
    guest.driver(**only).start()
    assert guest.driver().address() == ADDRESS
    assert guest.told[-1] == f"Address {ADDRESS} (told by: guest agent)"
    assert guest.says("hostname") == "guest"

    guest.says("sudo systemctl stop qemu-guest-agent")
    guest.driver(**only).start()
    assert guest.told[-1] == f"Address {ADDRESS} (told by: ARP)"
    guest.driver().start()
    assert guest.told[-1] == f"Address {first} (told by: DHCP lease)"


def test_a_copy_would_be_the_same_machine(guest: Guest) -> None:
    guest.driver().kill()
    with pytest.raises(DriverError, match="by SMBIOS"):
        guest.driver().clone_resources()
