"""What is found out before anything is made: KVM by a trial, permission, pool, network, memory; and by ``doctor``."""

from __future__ import annotations

import grp
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from pymachine.drivers.libvirt import LibvirtDriver, checks, kvm, templating
from pymachine.drivers.libvirt.connection import connect
from pymachine.drivers.libvirt.options import Options
from pymachine.drivers.testing import Workbench
from pymachine.machine.errors import DeadlineExceeded, InvalidOption, PreCreateCheckFailed
from support.libvirthost import LibvirtHost
from support.ordinaryuser import OrdinaryUser, ordinary_user
from support.program import Program

pytestmark = [pytest.mark.root, pytest.mark.slow]
GUEST = kvm.Guest("x86_64", "q35", "host-passthrough")


@pytest.fixture
def options(
    libvirt_system: LibvirtHost, tiny_image: str, own_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Options:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Options(
        uri=libvirt_system.uri,
        image=tiny_image,
        domain_type="qemu",
        cpus=1,
        memory="256m",
        disk="1g",
        pool="before",
        pool_path=f"{libvirt_system.pool}/before",
    )


@pytest.fixture
def connection(options: Options) -> Any:
    return connect(options.uri)


@pytest.fixture(scope="module")
def works(libvirt_system: LibvirtHost, tmp_path_factory: pytest.TempPathFactory) -> bool:
    """Whether KVM works here: `test_kvm_…` hold for computers of both kinds."""
    return kvm._try(connect(libvirt_system.uri), GUEST) == ""


def emulated(template: str, **values: Any) -> str:
    """The trial's guest, run by software: it speaks wherever QEMU runs."""
    text = templating.xml(template, **values)
    return text.replace('type="kvm"', 'type="qemu"').replace(
        'mode="host-passthrough" migratable="off"', 'mode="maximum"'
    )


def why(options: Options, directory: Path, **changes: Any) -> PreCreateCheckFailed:
    driver = LibvirtDriver(
        replace(options, **changes), Workbench(directory / f"{len(os.listdir(directory))}").context()
    )
    with pytest.raises(PreCreateCheckFailed) as failed:
        driver.pre_create_check()
    return failed.value


def test_kvm_is_refused_unless_a_guest_ran(options: Options, tmp_path: Path, *, works: bool) -> None:
    wanted = replace(options, domain_type="kvm")
    if works:
        checks.check(wanted)
    else:
        failed = why(wanted, tmp_path)
        assert "cannot run x86_64 guests by KVM: " in str(failed)
        assert "--libvirt-domain-type qemu" in failed.hint
    noted = json.loads((tmp_path / "cache/pymachine/kvm.json").read_text())
    assert [entry["problem"] == "" for entry in noted.values()] == [works]


def test_a_machine_is_emulated_with_a_loud_note(options: Options, tmp_path: Path, *, works: bool) -> None:
    """With ``auto``; and a deadline of its own is kept by a machine that cannot come up in it."""
    told: list[str] = []
    context = Workbench(tmp_path / "m", timeout=120).context()
    context.report = told.append
    driver = LibvirtDriver(replace(options, domain_type="auto", wait=1, ssh_port=9), context)
    try:
        driver.pre_create_check()
        with pytest.raises(DeadlineExceeded, match="waiting for"):
            driver.create()
        assert f'type="{"kvm" if works else "qemu"}"' in driver._require_domain().XMLDesc().replace("'", '"')
        assert any(line.startswith("NOTE: KVM does not run guests") for line in told) is not works
        assert any("emulated in software" in line for line in told) is not works
    finally:
        driver.remove()
        assert driver.leftovers() == []


def test_a_guest_that_speaks_is_believed_for_as_long_as_its_host_runs(
    options: Options, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kvm, "xml", emulated)
    monkeypatch.setattr(kvm, "TRIAL_SECONDS", 120.0)
    assert kvm.problem(connection, options.uri, GUEST) == ""
    assert [domain.name() for domain in connection.listAllDomains() if "trial" in domain.name()] == []

    def no_more(*_: object) -> str:
        return "tried again"

    monkeypatch.setattr(kvm, "_try", no_more)
    assert kvm.problem(connection, options.uri, GUEST) == ""
    assert kvm.problem(connection, options.uri, GUEST._replace(cpu_mode="host-model")) == "tried again"
    monkeypatch.setattr(kvm, "_cpu_time", lambda _: 1.0)
    assert kvm.problem(connection, options.uri, GUEST) == "tried again"
    monkeypatch.setattr(kvm, "_try", lambda *_: "")
    assert kvm.problem(connection, options.uri, GUEST, again=True) == ""


def test_guests_that_crawl_crash_or_cannot_start_are_told_of(
    options: Options, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kvm, "xml", emulated)
    monkeypatch.setattr(kvm, "TRIAL_SECONDS", 0.01)
    assert "did not get through its firmware" in kvm._try(connection, GUEST)
    monkeypatch.setattr(kvm, "TRIAL_SECONDS", 120.0)

    def cut_off(domain: Any, said: bytes) -> bool:
        domain.destroy()
        return False

    monkeypatch.setattr(kvm, "_spoken", cut_off)
    assert kvm._try(connection, GUEST).startswith("a trial guest")
    assert "does not start" in kvm._try(connection, GUEST._replace(machine="no-such-machine"))


TRIAL = """
import os, sys
from pymachine.drivers.libvirt import kvm
from pymachine.drivers.libvirt.connection import connect
from pymachine.drivers.libvirt.templating import xml
uri, arch, machine = sys.argv[1:]
real = '"host-passthrough" migratable="off"'
kvm.xml = lambda *a, **v: xml(*a, **v).replace('"kvm"', '"qemu"').replace(real, '"maximum"')
kvm._watch = lambda *a, **v: (print("there", flush=True), sys.stdin.read())
kvm._try(connect(uri), kvm.Guest(arch, machine, "host-passthrough"))
"""


def test_a_trial_goes_with_its_process(options: Options, connection: Any) -> None:
    command = [sys.executable, "-c", TRIAL, options.uri, "x86_64", "q35"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        assert trials(connection) != []
        process.send_signal(signal.SIGKILL)
    for _ in range(600):
        if not trials(connection):
            return
        subprocess.run(["sleep", "0.1"], check=True)
    pytest.fail("the trial's domain is still there")


def trials(connection: Any) -> list[str]:
    return [domain.name() for domain in connection.listAllDomains() if domain.name().startswith("pymachine-trial-")]


def test_all_that_is_lacking_is_named_with_its_remedy(options: Options, connection: Any, tmp_path: Path) -> None:
    lost = why(
        options,
        tmp_path,
        network=("network:lab", "bridge:nowhere0", "macvtap:nowhere1", "bridge:lo"),
        image="beos-5",
        memory="900g",
        cpus=5000,
        hugepages=True,
        share=("/nonexistent:/data",),
    )
    for part in (
        'no network "lab"',
        'no network device "nowhere0"',
        'no network device "nowhere1"',
        '"lo" is no bridge',
        'no image "beos-5"',
        "900g is more than the host's",
        "5000 is more than",
        "huge pages of 2 MiB are free, 460800 are needed",
        "no folder /nonexistent",
    ):
        assert part in str(lost), part
    for remedy in ("virsh net-list", "vm.nr_hugepages=460800", "ip link"):
        assert remedy in lost.hint
    assert "s390x guests of machine type s390-ccw-virtio" in str(other := why(options, tmp_path, arch="s390x"))
    assert "QEMU for: " in other.hint
    assert "no-such" in str(why(options, tmp_path, machine="no-such"))
    assert connection.listAllDomains() == [], "nothing is made"


def test_an_address_that_cannot_be_kept_is_refused_before_anything_is_made(options: Options, tmp_path: Path) -> None:
    LibvirtDriver(options, Workbench(tmp_path / "net").context())._make_networks()

    assert "does not belong to" in str(why(options, tmp_path, network=("network:default,address=203.0.113.9/24",)))
    with pytest.raises(InvalidOption, match="IPv4"):
        checks.check(replace(options, network=("network:default,address=2001:db8::1/64",)))


def test_a_card_of_another_domain_is_refused(options: Options, connection: Any, tmp_path: Path) -> None:
    mac = "52:54:00:aa:bb:01"
    card = f"<interface type='network'><source network='default'/><mac address='{mac}'/></interface>"
    text = (
        f"<domain type='qemu'><name>other</name><memory>1024</memory><os><type>hvm</type></os><devices>{card}</devices>"
    )
    other = connection.defineXML(f"{text}</domain>")
    try:
        assert f'mac={mac} is the card of the domain "other"' in str(
            why(options, tmp_path, network=(f"network:default,mac={mac}",))
        )
    finally:
        other.undefine()


def test_a_pool_that_is_no_folder_and_one_that_is_full(
    options: Options, connection: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logical = "<pool type='logical'><name>disks</name><source><name>none</name></source><target/></pool>"
    pool = connection.storagePoolDefineXML(logical)
    try:
        failed = why(options, tmp_path, pool="disks")
    finally:
        pool.undefine()
    assert 'the storage pool "disks" is of type logical' in str(failed)
    assert "--libvirt-pool" in failed.hint
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "pymachine-test", small], check=True)
    try:
        full = why(options, tmp_path, pool="tight", pool_path=f"{small}/pool")
        assert f"only 64 MiB are free in {small}" in str(full)
        assert "--libvirt-pool-path" in full.hint
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.fixture(scope="module")
def user(libvirt_system: LibvirtHost) -> Iterator[OrdinaryUser]:
    with ordinary_user({}) as someone:
        libraries = someone.home / "libraries"
        libraries.mkdir()
        for package in ("libvirt-python", "pycdlib"):
            for file in metadata.files(package) or []:
                if file.suffix in (".py", ".so"):
                    (libraries / file).parent.mkdir(exist_ok=True)
                    shutil.copy(file.locate(), libraries / file)
        someone.env = {"PYTHONPATH": str(libraries)}
        yield someone


def findings(output: str) -> list[dict[str, str]]:
    (area,) = [area for area in json.loads(output) if area["Area"] == "driver libvirt"]
    found: list[dict[str, str]] = area["Findings"]
    return found


def test_doctor_looks_at_each_thing(
    options: Options, libvirt_system: LibvirtHost, tmp_path: Path, *, works: bool
) -> None:
    env = {"LIBVIRT_DEFAULT_URI": options.uri, "LIBVIRT_IMAGE": options.image, "LIBVIRT_POOL": "unmade"}
    env |= {"LIBVIRT_POOL_PATH": f"{libvirt_system.pool}/unmade", "LIBVIRT_MEMORY": "256m"}
    program = Program(tmp_path / "store", env)
    done = program.run("doctor", "--format", "json", "libvirt")
    texts = [f"{finding['Level']} {finding['Text']}" for finding in findings(done.stdout)]
    for part in (
        "ok libvirt's Python library",
        "answers: libvirt",
        "KVM",
        'pool "unmade" is made',
        "network",
        "MiB of memory",
    ):
        assert any(part in text for text in texts), (part, texts)
    assert [text for text in texts if text.startswith("problem")] == [text for text in texts if "by KVM" in text]
    assert (done.returncode == 0) is works
    assert not (libvirt_system.pool / "unmade").exists()

    emulates = program.ok("doctor", "libvirt", env={"LIBVIRT_DOMAIN_TYPE": "qemu"})
    assert "emulated in software" in emulates
    wrong = program.run("doctor", "libvirt", env={"LIBVIRT_CPUS": "many", "LIBVIRT_DOMAIN_TYPE": "xen"})
    assert "$LIBVIRT_CPUS: 'many' is not a whole number" in wrong.stdout
    assert "Traceback" not in wrong.stdout + wrong.stderr


def test_who_may_not_use_the_socket_is_told_the_group(
    user: OrdinaryUser, options: Options, libvirt_system: LibvirtHost
) -> None:
    """For real: an ordinary user, and a socket that a group may use."""
    group = grp.getgrnam("games")
    socket = libvirt_system.socket
    before = socket.stat()
    os.chown(socket, 0, group.gr_gid)
    socket.chmod(0o770)
    try:
        done = user.pymachine("doctor", "--format", "json", "libvirt", env={"LIBVIRT_DEFAULT_URI": options.uri})
        made = user.pymachine("create", "-d", "libvirt", "dev", env={"LIBVIRT_DEFAULT_URI": options.uri})
    finally:
        os.chown(socket, before.st_uid, before.st_gid)
        socket.chmod(before.st_mode & 0o777)
    (problem,) = [finding for finding in findings(done.stdout) if finding["Level"] == "problem"]
    assert "no permission to use libvirt at qemu:///system" in problem["Text"]
    assert problem["Remedy"].startswith("sudo usermod -aG games $USER")
    assert made.returncode == 3
    assert "usermod -aG games" in made.stderr
    assert "Traceback" not in made.stderr
    assert user.pymachine("ls", "-q").stdout == ""


def test_what_is_not_installed_is_named(user: OrdinaryUser) -> None:
    """No library, then no daemon."""
    bare = user.pymachine("doctor", "libvirt", env={"PYTHONPATH": ""})
    assert "needs pycdlib" in bare.stdout or "needs libvirt's Python library" in bare.stdout
    assert "pip install 'pymachine[libvirt]'" in bare.stdout
    none = user.pymachine("doctor", "libvirt", env={"LIBVIRT_DEFAULT_URI": "qemu:///system?socket=/nonexistent/sock"})
    assert "libvirt does not run here" in none.stdout
    assert "apt-get install libvirt-daemon-system" in none.stdout
