"""What is read of the computer: mounts, cgroup trees, routes, resolvers, apt sources, processes."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from pymachine.drivers.local import cgroups, host, mounts, process, seed
from pymachine.drivers.local.images.sources import debian_sources
from pymachine.drivers.local.launch import count
from pymachine.machine.errors import DeadlineExceeded, DriverError, MissingRequirement

MOUNTINFO = r"""22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
30 22 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct
31 22 0:27 / /sys/fs/cgroup/systemd rw,nosuid - cgroup cgroup rw,name=systemd
32 22 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
40 22 254:0 /a /var/with\040blank rw - ext4 /dev/vda rw
41 40 254:0 /b /var/with\040blank/deeper rw - ext4 /dev/vda rw
42 22 254:0 /b /var/with\040blanket rw - ext4 /dev/vda rw
"""


def test_mounts_below_a_folder(tmp_path: Path) -> None:
    """Blanks are decoded, the deepest comes first, and a folder whose name only begins alike is another."""
    assert mounts.below("/var/with blank", MOUNTINFO) == ["/var/with blank/deeper", "/var/with blank"]


def test_cgroup_trees() -> None:
    """v1 trees with their controllers, the one of systemd without any, and the v2 tree."""
    found = {str(tree.mount): (tree.version, set(tree.controllers)) for tree in cgroups.hierarchies(MOUNTINFO)}
    assert found["/sys/fs/cgroup/cpu,cpuacct"] == (1, {"cpu", "cpuacct"})
    assert found["/sys/fs/cgroup/systemd"] == (1, set())
    assert found["/sys/fs/cgroup/unified"][0] == 2


@pytest.mark.parametrize(("text", "number"), [("0", 1), ("0-3", 4), ("0,2-3,7", 4)])
def test_cpu_lists(text: str, number: int) -> None:
    """cpuset(7)'s list format."""
    assert count(text) == number


def test_resolvers_on_loopback_are_left_out() -> None:
    """A machine cannot reach them; what they themselves ask takes their place."""
    assert seed.resolv_conf("# x\nnameserver 192.0.2.53\nsearch a b\nsortlist 1\n") == (
        "nameserver 192.0.2.53\nsearch a b\n"
    )
    uplink = "nameserver 192.0.2.1\n"
    assert seed.resolv_conf("nameserver 127.0.0.53\noptions edns0\n", uplink) == uplink
    assert "no name server" in seed.resolv_conf("nameserver ::1\n", "")


def test_sources_in_deb822_style(tmp_path: Path) -> None:
    """Stanzas of Debian's own archive for the suite are taken, comments, other suites and others' archives are not."""
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/debian.sources").write_text(
        "Types: deb deb-src\n# a comment\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n"
        "Components: main contrib\n\n"
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie\nComponents: main\n\n"
        "Types: deb\nEnabled: no\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n"
    )
    (tmp_path / "sources.list.d/other.sources").write_text(
        "Types: deb\nURIs: http://other.example\nSuites: bookworm\nComponents: stable\n"
    )
    assert debian_sources("bookworm", tmp_path) == (
        "Types: deb deb-src\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n"
        "Components: main contrib\n"
    )


def test_sources_in_one_line_style(tmp_path: Path) -> None:
    """The same for sources.list, options in brackets included."""
    (tmp_path / "sources.list").write_text(
        "# deb http://no.example bookworm main\n"
        "deb [signed-by=/k.gpg] http://mirror.example/debian bookworm main non-free-firmware\n"
        "deb http://mirror.example/debian-security bookworm-security main\n"
        "deb http://other.example nodistro main\ndeb-src http://mirror.example/debian bookworm main\n"
    )
    assert debian_sources("bookworm", tmp_path).splitlines() == [
        "deb [signed-by=/k.gpg] http://mirror.example/debian bookworm main non-free-firmware",
        "deb http://mirror.example/debian-security bookworm-security main",
    ]


def test_sources_of_a_computer_that_is_not_debian(tmp_path: Path) -> None:
    """mmdebstrap's own default then."""
    (tmp_path / "sources.list").write_text("deb http://mirror.example/ubuntu jammy main\n")
    assert debian_sources("bookworm", tmp_path) == ""


def test_a_process_is_known_by_its_start_too() -> None:
    """It lives while it runs; a zombie, another start time or another boot does not count."""
    child = subprocess.Popen(["sleep", "100"])
    known = process.of(child.pid)
    assert known is not None
    assert known.alive()
    assert not known.wait(0)
    other_start = process.Process(known.pid, known.start_time + 1, known.boot_id)
    other_boot = process.Process(known.pid, known.start_time, "another")
    for wrong in (other_start, other_boot):
        assert not wrong.alive()
        assert not wrong.signal(signal.SIGKILL)
        assert wrong.wait(5)
    assert known.signal(signal.SIGKILL)
    assert known.wait(10)
    assert not known.alive()
    child.wait()
    assert process.of(child.pid) is None


def test_a_process_note_survives_and_damage_is_none(tmp_path: Path) -> None:
    """What is written is read; a damaged or missing note means no process."""
    path = tmp_path / "pid.json"
    ourselves = process.of(os.getpid())
    assert ourselves is not None
    process.write(path, ourselves)
    assert process.read(path) == ourselves
    for damage in ("", "{", "[1]", '{"pid": "x", "start_time": 1, "boot_id": ""}'):
        path.write_text(damage)
        assert process.read(path) is None
    assert process.read(tmp_path / "none") is None


def test_commands_fail_in_one_line() -> None:
    """The last line of what it said, the missing package, or the deadline."""
    with pytest.raises(DriverError, match=r"failed: second$"):
        host.run(["sh", "-c", "echo first >&2; echo second >&2; exit 3"])
    with pytest.raises(MissingRequirement, match="no-such-program is not installed") as caught:
        host.run(["no-such-program"])
    assert "apt-get install" in caught.value.hint
    with pytest.raises(DeadlineExceeded, match="running sleep"):
        host.run(["sleep", "10"], timeout=0.01)
