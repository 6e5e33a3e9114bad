"""Networks, pools and permissions that are really broken: each is told in one line that names it; nothing is left."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pymachine.drivers.base import State
from pymachine.drivers.libvirt import LibvirtDriver, networks
from pymachine.drivers.libvirt.connection import connect
from pymachine.drivers.libvirt.options import Options
from pymachine.drivers.libvirt.storage import Storage
from pymachine.drivers.testing import Workbench
from pymachine.machine.errors import DeadlineExceeded, DriverError, MachineError, MissingRequirement
from support.libvirthost import LibvirtHost, libvirt_host

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A disk on which there is nothing to boot."""
    path = tmp_path_factory.mktemp("broken") / "noise.raw"
    path.write_bytes(os.urandom(8 << 20))
    return str(path)


@pytest.fixture
def options(libvirt_system: LibvirtHost, image: str, own_library: Path) -> Options:
    return _options(libvirt_system, image)


def _options(host: LibvirtHost, image: str) -> Options:
    return Options(
        uri=host.uri,
        image=image,
        domain_type="qemu",
        cpus=1,
        memory="256m",
        disk="1g",
        pool="broken",
        pool_path=f"{host.pool}/broken",
    )


@pytest.fixture(autouse=True)
def _pool_goes(options: Options) -> Iterator[None]:
    yield
    _drop_pool(options)


def _drop_pool(options: Options) -> None:
    pool = Storage(connect(options.uri), options).find()
    if pool is not None:
        with contextlib.suppress(Exception):
            pool.destroy()
        pool.undefine()


def fails(options: Options, place: Path, *, check: bool = False) -> MachineError:
    """The error of a create (or of its check), which is one line; remove then works, and leaves nothing."""
    bench = Workbench(place, name="broken", timeout=60)
    driver = LibvirtDriver(options, bench.context())
    with pytest.raises(MachineError) as failed:
        driver.pre_create_check() if check else driver.create()
    assert "\n" not in str(failed.value)
    if not check:
        again = LibvirtDriver(options, bench.context())
        again.remove()
        assert again.state() is State.NONE
    return failed.value


def _network(options: Options, text: str) -> None:
    connect(options.uri).networkDefineXML(text)


@contextlib.contextmanager
def network(options: Options, name: str, *, bridge: str, address: str, dhcp: str = "") -> Iterator[None]:
    """A network that somebody else defined."""
    ip = f"<ip address='{address}' netmask='255.255.255.0'>{dhcp}</ip>"
    _network(options, f"<network><name>{name}</name><bridge name='{bridge}' stp='off'/>{ip}</network>")
    try:
        yield
    finally:
        found = networks.find(connect(options.uri), name)
        assert found is not None
        if found.isActive():
            found.destroy()
        found.undefine()


def test_a_network_whose_subnet_is_taken(options: Options, tmp_path: Path) -> None:
    subprocess.run(["ip", "link", "add", "taken0", "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "address", "add", "10.222.1.1/24", "dev", "taken0"], check=True)
        subprocess.run(["ip", "link", "set", "taken0", "up"], check=True)
        with network(options, "lab", bridge="virbr71", address="10.222.1.1"):
            error = fails(replace(options, network=("network:lab",)), tmp_path / "m")
    finally:
        subprocess.run(["ip", "link", "delete", "taken0"], check=True)
    assert 'starting the network "lab" failed' in str(error)
    assert "taken0" in str(error)


def test_a_network_whose_bridge_is_somebodys(options: Options, tmp_path: Path) -> None:
    subprocess.run(["ip", "link", "add", "taken1", "type", "bridge"], check=True)
    try:
        with network(options, "lab", bridge="taken1", address="10.222.2.1"):
            error = fails(replace(options, network=("network:lab",)), tmp_path / "m")
    finally:
        subprocess.run(["ip", "link", "delete", "taken1"], check=True)
    assert 'starting the network "lab" failed' in str(error)
    assert "taken1" in str(error)


def test_a_network_that_gives_no_addresses_and_a_guest_that_is_deaf(options: Options, tmp_path: Path) -> None:
    """The wait for an address ends at its deadline and says whom it asked; so does the one for the power to be off, for
    a guest that hears no button."""
    bench = Workbench(tmp_path / "m", name="broken", timeout=3)

    def driver() -> LibvirtDriver:
        return LibvirtDriver(replace(options, network=("network:mute",)), bench.context())

    with network(options, "mute", bridge="virbr72", address="10.222.3.1"):
        try:
            with pytest.raises(DeadlineExceeded, match="waiting for the machine's address: DHCP lease: none"):
                driver().create()
            bench.timeout = 1
            with pytest.raises(DeadlineExceeded, match="waiting for the machine to power off") as deaf:
                driver().stop()
            assert deaf.value.hint == "pymachine kill broken stops it at once"
            driver().kill()
            assert driver().state() is State.STOPPED
        finally:
            driver().remove()
        assert driver().leftovers() == []


def test_a_bridge_that_is_not_there(options: Options, tmp_path: Path) -> None:
    error = fails(replace(options, network=("bridge:nowhere0",)), tmp_path / "m")
    assert "nowhere0" in str(error)


def test_a_pool_whose_folder_is_gone(options: Options, tmp_path: Path) -> None:
    pool = Storage(connect(options.uri), options).ensure()
    pool.destroy()
    shutil.rmtree(options.pool_path)
    error = fails(options, tmp_path / "m")
    assert 'the storage pool "broken"' in str(error)
    assert options.pool_path in str(error)


def test_a_pool_whose_folder_is_a_file(options: Options, tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("not a folder")
    error = fails(replace(options, pool_path=str(occupied)), tmp_path / "m")
    assert 'the storage pool "broken"' in str(error)
    assert str(occupied) in str(error)


def test_a_pool_that_is_no_folder_is_refused_before_anything_is_made(options: Options, tmp_path: Path) -> None:
    text = "<pool type='logical'><name>broken</name><source><name>vg</name></source></pool>"
    connect(options.uri).storagePoolDefineXML(text, 0)
    error = fails(options, tmp_path / "m", check=True)
    assert "of type logical" in str(error)
    assert "--libvirt-pool" in error.hint


def test_a_full_pool(options: Options, libvirt_system: LibvirtHost, tmp_path: Path) -> None:
    """The check sees it; and when it fills up only later, the image's upload says so."""
    place = libvirt_system.pool / "full"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "pymachine-test", place], check=True)
    small = replace(options, pool_path=str(place))
    try:
        Storage(connect(options.uri), small).ensure()
        checked = fails(small, tmp_path / "checked", check=True)
        error = fails(small, tmp_path / "m")
        _drop_pool(small)
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)
    assert "MiB are free in the storage pool" in str(checked)
    assert "No space left" in str(error)
    assert "free some space in the storage pool" in error.hint


def test_a_pool_that_qemu_may_not_read_and_a_libvirt_that_ends(image: str, own_library: Path, tmp_path: Path) -> None:
    """QEMU is an ordinary user here, as on real hosts, and a folder above the pool is root's alone. Then the daemon
    ends between two calls."""
    del own_library
    with libvirt_host("libvirt-qemu") as host, host.entered():
        host.pool.chmod(0o700)
        options = _options(host, image)
        error = fails(options, tmp_path / "m")
        driver = LibvirtDriver(options, Workbench(tmp_path / "gone").context())
        assert driver.state() is State.NONE
        host.processes[-1].kill()
        host.processes[-1].wait()
        with pytest.raises(DriverError, match="looking for the machine failed: ") as broken:
            driver.state()
        with pytest.raises(MissingRequirement, match="libvirt does not run here") as gone:
            LibvirtDriver.states([driver])
    assert "Permission denied" in str(error)
    assert "every folder above it needs o+x" in error.hint
    assert "\n" not in f"{broken.value}{gone.value}"


def test_a_socket_that_refuses_us(options: Options, libvirt_system: LibvirtHost, tmp_path: Path) -> None:
    """As an ordinary user finds it who is not in the socket's group."""
    script = (
        "import os, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "from pymachine.drivers.libvirt.connection import connect\n"
        "from pymachine.machine.errors import MissingRequirement\n"
        "try: connect(sys.argv[1])\n"
        "except MissingRequirement as error: print(error); print(error.hint)\n"
    )
    libvirt_system.socket.chmod(0o700)
    try:
        code = f"import grp, libvirt, pymachine.drivers.libvirt.connection, pymachine.machine.errors\n{script}"
        done = subprocess.run(
            [sys.executable, "-c", code, options.uri], capture_output=True, text=True, cwd=tmp_path, timeout=60
        )
    finally:
        libvirt_system.socket.chmod(0o777)
    assert done.returncode == 0, done.stderr
    said, hint = done.stdout.splitlines()
    assert said.startswith("no permission to use libvirt at qemu:///system")
    assert hint.startswith("sudo usermod -aG ")
