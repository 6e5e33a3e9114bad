"""Other ways to a libvirt, what it lacks, and what others do to a machine behind our back: on tiny machines."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pymachine.drivers.base import State
from pymachine.drivers.libvirt import LibvirtDriver
from pymachine.drivers.libvirt.connection import connect
from pymachine.drivers.libvirt.images.prune import prune
from pymachine.drivers.libvirt.options import Options
from pymachine.drivers.libvirt.storage import Storage, base_name
from pymachine.drivers.testing import Workbench
from pymachine.machine.errors import DeadlineExceeded, DriverError
from support.libvirthost import LibvirtHost
from support.libvirtsession import session_user
from support.sshd import ssh_server

pytestmark = [pytest.mark.root, pytest.mark.slow]


class Machine:
    """A machine of one test; every operation is done by a new driver, as by a new command."""

    def __init__(self, directory: Path, options: Options, name: str = "tiny") -> None:
        self.bench = Workbench(directory, name=name, timeout=900)
        self.options = options

    @property
    def driver(self) -> LibvirtDriver:
        return LibvirtDriver(self.options, self.bench.context())


@pytest.fixture
def options(libvirt_system: LibvirtHost, tiny_image: str, own_library: Path) -> Options:
    return Options(
        uri=libvirt_system.uri,
        image=tiny_image,
        domain_type="qemu",
        cpus=1,
        memory="256m",
        disk="1g",
        pool="ways",
        pool_path=f"{libvirt_system.pool}/ways",
    )


@contextlib.contextmanager
def machine(directory: Path, options: Options) -> Iterator[Machine]:
    made = Machine(directory, options)
    try:
        yield made
    finally:
        made.driver.remove()
        assert made.driver.leftovers() == []


def test_a_libvirt_behind_ssh(options: Options, libvirt_system: LibvirtHost, tmp_path: Path) -> None:
    """Image, seed and console log go through libvirt's streams: the pool's folder is not to be seen from here.
    A kept address is the machine's, and is given back."""
    with ssh_server(tmp_path / "sshd") as server:
        ssh = tmp_path / "ssh"  # as the user's own configuration of ssh would have it
        ssh.write_text(
            f"#!/bin/sh\nexec ssh -F none -i {server.directory}/id_client -o StrictHostKeyChecking=accept-new "
            f'-o UserKnownHostsFile={server.directory}/known_hosts "$@"\n'
        )
        ssh.chmod(0o755)
        uri = f"qemu+ssh://root@127.0.0.1:{server.port}/system?socket={libvirt_system.socket}&command={ssh}"
        LibvirtDriver(options, Workbench(tmp_path / "net").context())._make_networks()
        network = connect(options.uri).networkLookupByName("default").XMLDesc()
        from pymachine.drivers.libvirt.networks import addresses

        wanted = addresses(network)[0].ip + 77
        far = replace(options, uri=uri, pool="far", pool_path="")
        far = replace(far, network=(f"network:default,address={wanted}/24",))
        with machine(tmp_path / "m", far) as far_machine:
            far_machine.driver.pre_create_check()
            far_machine.driver.create()
            assert far_machine.driver.address() == str(wanted)
            assert far_machine.driver.state() is State.RUNNING
            assert "tiny machine is up" in far_machine.driver._console_end()
            assert not os.path.exists(far_machine.driver._storage.folder())


SESSION = """
import json, socket, sys
from pathlib import Path
from pymachine.drivers.base import Context
from pymachine.drivers.checkup import NoJournal
from pymachine.drivers.libvirt import LibvirtDriver
from pymachine.drivers.libvirt.boot import speaks_ssh
from pymachine.drivers.libvirt.options import Options

place, image, machine_id = sys.argv[1:]
resources = {}
options = Options(uri="qemu:///session", image=image, domain_type="qemu", cpus=1, memory="256m", disk="1g")
told = lambda line: None
driver = lambda: LibvirtDriver(
    options, Context(machine_id, "tiny", "", Path(place), resources, lambda: None, NoJournal(), told, timeout=900)
)
try:
    driver().pre_create_check()
    driver().create()
    end, url = driver().ssh_endpoint(), driver().engine_url()
    with socket.create_connection(("127.0.0.1", int(url.removeprefix("tcp://127.0.0.1:")))) as engine:
        said = engine.recv(64).decode()
    print(json.dumps([end.host, speaks_ssh(end.host, end.port), said, driver().state()]))
finally:
    driver().remove()
print(json.dumps(driver().leftovers()))
"""


def test_the_session(tiny_image: str) -> None:
    """A user's own libvirt has no networks: SSH and engine are ports of this computer's loopback."""
    os.chmod(Path(tiny_image).parent, 0o755)
    with session_user() as user:
        done = user.run(user.python, "-c", SESSION, str(user.home), tiny_image, str(uuid.uuid4()), timeout=900)
    assert done.returncode == 0, done.stderr
    (host, speaks, engine, state), left = map(json.loads, done.stdout.splitlines())
    assert (host, speaks, engine, state, left) == ("127.0.0.1", True, "engine\n", "Running", [])


def test_uefi(options: Options, tmp_path: Path) -> None:
    """The same image boots by UEFI, and its snapshots are copies of disks and NVRAM; all goes with the machine."""
    if not Path("/usr/share/OVMF/OVMF_CODE_4M.fd").exists():
        pytest.skip("no UEFI firmware for guests")
    with machine(tmp_path / "m", replace(options, firmware="uefi", extra_disk=("8m",))) as ours:
        ours.driver.create()
        with pytest.raises(DriverError, match="only when it is stopped"):
            ours.driver.create_snapshot("while running")
        ours.driver.stop()
        ours.driver.create_snapshot("be/fore")
        with pytest.raises(DriverError, match="already"):
            ours.driver.create_snapshot("be/fore")
        folder, names = Path(str(options.pool_path)), ours.driver._names
        nvram, disk, extra = (folder / name for name in (names.nvram, names.disk, names.extra(1)))
        kept = nvram.read_bytes()
        nvram.write_bytes(bytes(len(kept)))
        for path, at in ((disk, "900M"), (extra, "1M")):
            qemu_io(path, f"write -P 0xaa {at} 64k")
        copied = max(copy.stat().st_blocks * 512 for copy in folder.glob(f"{names.domain}-snapshot-*-disk*"))
        assert copied < options.disk_bytes() / 50  # only what differs from the image
        assert [(snapshot.name, snapshot.running) for snapshot in ours.driver.snapshots()] == [("be/fore", False)]

        ours.driver.restore_snapshot("be/fore")
        assert nvram.read_bytes() == kept
        for path, at in ((disk, "900M"), (extra, "1M")):
            qemu_io(path, f"read -P 0 {at} 64k")
        ours.driver._require_domain().create()  # it need not have booted to be cut off
        ours.driver.restore_snapshot("be/fore")
        assert ours.driver.state() is State.STOPPED
        with pytest.raises(DriverError, match="no snapshot"):
            ours.driver.restore_snapshot("none")
        ours.driver.create_snapshot("second")
        ours.driver.remove_snapshot("be/fore")
        assert [snapshot.name for snapshot in ours.driver.snapshots()] == ["second"]


def qemu_io(disk: Path, command: str) -> None:
    done = subprocess.run(["qemu-io", "-f", "qcow2", "-c", command, disk], capture_output=True, text=True)
    assert done.returncode == 0
    assert "failed" not in done.stdout + done.stderr, done.stdout


def test_macvtap_and_a_folder_by_9p(options: Options, libvirt_system: LibvirtHost, tmp_path: Path) -> None:
    """A card on a device of this computer, which is a cable into the default network; the guest is found by ARP. Its
    folder is there for the guests whose kernel has 9p."""
    LibvirtDriver(options, Workbench(tmp_path / "net").context())._make_networks()
    bridge = connect(options.uri).networkLookupByName("default").bridgeName()
    for command in ("add name pymtestin type veth peer name pymtestout", f"set pymtestout up master {bridge}"):
        subprocess.run(["ip", "link", *command.split()], check=True)
    subprocess.run(["ip", "link", "set", "pymtestin", "up"], check=True)
    try:
        wanted = replace(options, network=("macvtap:pymtestin",), share=(f"{tmp_path}:/data:ro",), share_type="9p")
        with machine(tmp_path / "m", wanted) as ours:
            ours.driver.pre_create_check()
            ours.driver.create()
            assert ours.bench.context().resources["address_from"] == "ARP"
            running = ours.driver._require_domain().XMLDesc()
            assert "<target dev='macvtap" in running
            assert f"<source dir='{tmp_path}'/>" in running
    finally:
        subprocess.run(["ip", "link", "delete", "pymtestin"], check=True)


def test_a_machine_that_vanished_is_explained(options: Options, tmp_path: Path) -> None:
    """And one that was renamed by virsh is still found; its image is in use until it is removed, and as it was. Who
    waits in vain for it is shown what it said last."""
    with machine(tmp_path / "m", options) as ours:
        ours.driver.create()
        deaf = LibvirtDriver(replace(options, ssh_port=9, wait=1), ours.bench.context())
        with pytest.raises(DeadlineExceeded, match=r"waiting for SSH on .* port 9.*refused") as late:
            deaf.start()
        assert late.value.hint.startswith("its console ends: ")
        assert "tiny machine is up" in late.value.hint
        assert prune(options) == []
        ours.driver.kill()
        domain = ours.driver._require_domain()
        domain.rename("another-name")
        assert ours.driver.state() is State.STOPPED
        domain.undefine()
        assert ours.driver.state() is State.ERROR
        seen = LibvirtDriver.states([ours.driver])
        assert "undefined" in seen[ours.bench.machine_id].problem
        with pytest.raises(DriverError, match="undefined by other means"):
            ours.driver.start()
        ours.driver.remove()
    ((base, _),) = Storage(connect(options.uri), options).bases()
    assert base == base_name(hashlib.sha256(Path(options.pool_path, base).read_bytes()).hexdigest(), "qcow2")
    assert [name for name, _ in prune(options)] == [base]
