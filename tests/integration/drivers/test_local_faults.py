"""A local machine by the real program, and what goes wrong around it: one clear line each, and the way back.

All tests share a machine, which each leaves as it found it; the last one another, of the same name in another store.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.drivers.local import bridge, cgroups, process
from pymachine.drivers.local.images.catalog import Image
from pymachine.drivers.local.launch import cgroup_name
from pymachine.drivers.local.layout import Layout
from pymachine.drivers.local.subnets import Leases
from support.localprogram import left_of, local_program
from support.program import Program
from support.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture(scope="module")
def images(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image root of these tests' own, whose image is a link to the one that all tests share."""
    root = tmp_path_factory.mktemp("images")
    (root / image.digest).symlink_to(image.directory)
    (root / "names").mkdir()
    (root / "names" / "debian-12").symlink_to(Path("..") / image.digest)
    return root


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that the machine mounts."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def program(images: Path, shared: Path) -> Iterator[Program]:
    """The program with the machine ``m``."""
    with local_program(str(images)) as made:
        made.ok("create", "--local-mount", f"{shared}:/mnt/shared", "m")
        yield made
        made.ok("rm", "-y", "m")
        assert left_of(made) == []


def root_of(program: Program) -> Path:
    return Path(program.env["PYMACHINE_LOCAL_ROOT"])


def layout_of(program: Program) -> Layout:
    return Layout.from_environment(program.env)


def folder_of(program: Program) -> Path:
    """The machine's folder in the local root."""
    record = json.loads((program.store / "machines" / "m" / "record.json").read_text())
    return root_of(program) / "machines" / str(record["id"])


def noted(program: Program) -> process.Process:
    found = process.read(folder_of(program) / "pid.json")
    assert found is not None
    return found


def row(program: Program) -> tuple[str, str, str]:
    """What ``ls`` tells: state, engine's version, error."""
    (found,) = json.loads(program.ok("ls", "--format", "json"))
    return found["State"], found["DockerVersion"], found["Error"]


def refused(done: subprocess.CompletedProcess[str], line: str) -> str:
    """Hold a run to its exit code and its first line on standard error; the second one."""
    first, _, rest = done.stderr.partition("\n")
    assert (done.returncode, first) == (1, line), done.stdout + done.stderr
    assert rest.count("\n") <= 1, done.stderr
    return rest.rstrip("\n")


def end(program: Program) -> None:
    """Take away what a boot of this computer takes: processes, bridge, rules and control groups."""
    supervisor = noted(program)
    supervisor.signal(signal.SIGKILL)
    assert supervisor.wait(60)
    cgroups.remove(cgroup_name(folder_of(program).name))
    remove_bridge(program)


def remove_bridge(program: Program) -> None:
    """With its rules; starts that are refused have made it again."""
    (lease,) = [lease for lease in [Leases(layout_of(program)).find(folder_of(program).name)] if lease]
    bridge.remove(lease.bridge, str(root_of(program)))
    assert not bridge.exists(lease.bridge)


def test_the_host_has_the_release_that_the_record_names_byte_compiled(program: Program) -> None:
    release = json.loads(program.ok("inspect", "m"))["Pymachine"]["Provisioned"]["release"]
    asked = (
        "readlink -f /opt/pymachine/current; cd /opt/pymachine/current/lib;"
        "find . -name '*.py' | wc -l; find . -name '*.pyc' ! -name '*.opt-*' | wc -l; systemctl is-active pyengine"
    )
    link, sources, compiled, active = program.ok("ssh", "m", asked).splitlines()

    assert link == f"/opt/pymachine/releases/{release}"
    assert int(sources) == int(compiled) > 100
    assert active == "active"


def test_after_a_boot_of_this_computer_a_machine_is_stopped_and_starts(program: Program) -> None:
    """Its note names a process of the boot before; that another process has that number now does not matter."""
    program.ok("ssh", "m", "echo kept > /root/kept; sync")
    end(program)
    ours = process.of(os.getpid())
    assert ours is not None
    process.write(folder_of(program) / "pid.json", process.Process(ours.pid, ours.start_time, "0" * 36))

    assert row(program)[::2] == ("Stopped", "")
    program.ok("start", "m")
    assert program.ok("ssh", "m", "cat /root/kept") == "kept\n"
    state, version, error = row(program)
    assert (state, version[:1], error) == ("Running", "v", "")


def test_a_machine_whose_systemd_was_killed_is_stopped_and_starts(program: Program) -> None:
    init = process.init_of(noted(program))
    assert init is not None
    init.signal(signal.SIGKILL)

    eventually(lambda: program.ok("status", "m") == "Stopped\n")
    program.ok("start", "m")
    assert program.ok("ssh", "m", "cat /proc/1/comm") == "systemd\n"


@contextlib.contextmanager
def without(path: Path) -> Iterator[Path]:
    """While the block runs a path is somewhere else."""
    away = path.with_name(f"{path.name}.away")
    path.rename(away)
    try:
        yield away
    finally:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        away.rename(path)


def test_what_a_stopped_machine_needs_may_have_gone(program: Program, images: Path, image: Image, shared: Path) -> None:
    """Its mount's source, its image, a file of its image, its network: each is told, and it starts when all is back."""
    address = program.ok("ip", "m").strip()
    end(program)

    with without(shared):
        hint = refused(program.run("start", "m"), f'{shared}, which machine "m" mounts, is not there any more')
        assert "make it again" in hint

    link = images / image.digest
    gone = f'the image {image.digest[:12]} of machine "m" is gone from {images}'
    with without(link) as real:
        assert "pymachine rm m" in refused(program.run("start", "m"), gone)
        (link / "rootfs").mkdir(parents=True)
        shutil.copy(real / "image.json", link)
        lost = 'the image of machine "m" is damaged: usr/lib/systemd/systemd is missing'
        assert "pymachine rm m" in refused(program.run("start", "m"), lost)

    network = f"{address.rpartition('.')[0]}.0/24"
    remove_bridge(program)
    subprocess.run(["ip", "route", "add", network, "dev", "lo"], check=True)
    try:
        taken = f"the machine's address {address} is in {network}, which something else uses by now"
        assert network in refused(program.run("start", "m"), taken)
    finally:
        subprocess.run(["ip", "route", "delete", network, "dev", "lo"], check=True)

    assert row(program)[::2] == ("Stopped", "")
    program.ok("start", "m")
    assert program.ok("ssh", "m", "test -d /mnt/shared && hostname") == "m\n"


def test_half_made_and_damaged_images_make_no_machine(program: Program, tmp_path: Path, image: Image) -> None:
    """What an interrupted build left does not count, and lost files are seen before anything is made."""
    (tmp_path / ".building-x" / "rootfs").mkdir(parents=True)
    before = sorted((root_of(program) / "machines").iterdir())
    cases = [('there is no image "debian-12"', "run: pymachine image build")]
    lost = 'the image "debian-12" is damaged: usr/lib/systemd/systemd is missing'
    cases.append((lost, "run: pymachine image build --force"))
    for text, remedy in cases:
        done = program.run("create", "never", env={"PYMACHINE_IMAGE_ROOT": str(tmp_path)})
        assert done.returncode == 3
        assert done.stderr.splitlines() == [f'Error with pre-create check: "{text}"', remedy]
        (tmp_path / image.digest / "rootfs").mkdir(parents=True, exist_ok=True)
        shutil.copy(image.directory / "image.json", tmp_path / image.digest)
        (tmp_path / "names").mkdir(exist_ok=True)
        (tmp_path / "names" / "debian-12").unlink(missing_ok=True)
        (tmp_path / "names" / "debian-12").symlink_to(Path("..") / image.digest)

    assert sorted((root_of(program) / "machines").iterdir()) == before
    assert program.ok("ls", "-q") == "m\n"


def test_another_stores_machine_of_the_same_name_whose_folder_was_deleted(program: Program) -> None:
    """Both live under one local root; this one has its limits from the environment. When its folder is lost, the list
    tells so, and it can be removed."""
    other = Program(program.store.with_name("another-store"), program.env)
    other.ok("create", "m", env={"LOCAL_CPUS": "1", "LOCAL_MEMORY": "300m"})
    try:
        assert other.ok("ip", "m") != program.ok("ip", "m")
        assert other.ok("ssh", "m", "hostname") == program.ok("ssh", "m", "hostname") == "m\n"
        limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"
        assert other.ok("ssh", "m", f"nproc; {limit}").split() == ["1", str(300 << 20)]
        other.ok("kill", "m")
        shutil.rmtree(folder_of(other))

        assert other.ok("status", "m") == "Error\n"
        assert row(other)[0] == "Error"
        gone = f'the files of machine "m" are gone from {root_of(other) / "machines"}'
        assert "pymachine rm m" in refused(other.run("start", "m"), gone)
    finally:
        other.ok("rm", "-y", "m")
    assert other.ok("ls", "-q") == ""
    assert program.ok("ssh", "m", "hostname") == "m\n"
