"""The runtime's small parts: messages, options, capabilities, limits in both versions' units, device programs."""

from __future__ import annotations

import _socket
import os
from pathlib import Path

import pytest

from pymachine.engine.runtime import (
    capabilities,
    cgroup1,
    cgroup2,
    cgroups,
    devicefilter,
    inroot,
    mountoptions,
    plain,
    program,
    wire,
)
from pymachine.engine.runtime import syscalls as sys_
from pymachine.engine.runtime.spec import (
    ContainerSpec,
    Device,
    Mount,
    Process,
    Resources,
    Rlimit,
    Rootfs,
    container_from_json,
    process_from_json,
    to_json,
)

SPEC = ContainerSpec(
    "0" * 64,
    "/run/x",
    Rootfs("overlay", ("/l1", "/l2"), "/u", "/w"),
    Process(("sh", "-c", "x"), ("A=1",), rlimits=(Rlimit("nofile", 1, 2),), console_size=(3, 4)),
    mounts=(Mount("/proc", "proc", "proc", ("nosuid",)),),
    devices=(Device("/dev/a", "/dev/b"),),
    sysctls=(("a.b", "1"),),
)


def test_a_spec_survives_its_json() -> None:
    assert container_from_json(to_json(SPEC)) == SPEC
    assert process_from_json(to_json(SPEC.process)) == SPEC.process


def test_the_shims_view_of_a_spec_has_the_same_attributes() -> None:
    import dataclasses

    found = plain.container(wire.unpack(wire.pack(dataclasses.asdict(SPEC))[4:]))
    assert found.process.args == ("sh", "-c", "x")
    assert found.mounts[0].destination == "/proc"
    assert found.sysctls == (("a.b", "1"),)
    assert found.process.rlimits[0].hard == 2


def test_messages_come_out_whole_however_they_were_cut() -> None:
    data = wire.pack({"a": [1, "ü", b"\0"]}) + wire.pack({"b": 2}) + b"rest"
    inbox = wire.Inbox()
    found: list[object] = []
    for at in range(0, len(data), 3):
        inbox.feed(data[at : at + 3])
        while len(found) < 2 and (message := inbox.next()) is not None:
            found.append(message)
    assert found == [{"a": [1, "ü", b"\0"]}, {"b": 2}]
    assert inbox.rest() == b"rest"


def test_a_message_of_absurd_length_is_refused() -> None:
    inbox = wire.Inbox()
    inbox.feed(b"\xff\xff\xff\xff")
    with pytest.raises(ValueError, match="too long"):
        inbox.next()


def test_packets_carry_a_descriptor() -> None:
    one, two = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    read, write = os.pipe()
    wire.send_packet(one, {"console": True}, write)
    os.close(write)
    one.close()
    message, descriptor = wire.receive_packet(two)
    assert message == {"console": True}
    assert descriptor is not None
    os.write(descriptor, b"x")
    assert os.read(read, 1) == b"x"
    assert not os.get_inheritable(descriptor)
    assert wire.receive_packet(two) == (None, None)
    for fd in (read, descriptor):
        os.close(fd)
    two.close()


def test_a_message_that_came_before_a_reset_is_not_lost() -> None:
    one, two = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    wire.send_packet(one, {"error": "x"})
    wire.send_packet(two, {"go": True})
    one.close()  # with something unread, which resets the connection
    assert wire.receive_packet(two) == ({"error": "x"}, None)
    assert wire.receive_packet(two) == (None, None)
    two.close()


@pytest.mark.parametrize(
    ("options", "flags", "propagation", "data"),
    [
        (("ro", "nosuid", "mode=755", "size=64m"), sys_.MS_RDONLY | sys_.MS_NOSUID, 0, "mode=755,size=64m"),
        (("rbind", "ro", "rw"), sys_.MS_BIND | sys_.MS_REC, 0, ""),
        (("bind", "rslave", "z"), sys_.MS_BIND, sys_.MS_SLAVE | sys_.MS_REC, ""),
        ((), 0, 0, ""),
    ],
)
def test_mount_options(options: tuple[str, ...], flags: int, propagation: int, data: str) -> None:
    assert mountoptions.parse(options) == (flags, propagation, data)


def test_capability_masks() -> None:
    assert capabilities.mask_of(("CAP_CHOWN", "CAP_KILL")) == 0b100001
    assert capabilities.NAMES.index("CAP_SYS_ADMIN") == 21
    assert len(capabilities.NAMES) == 41
    with pytest.raises(ValueError, match="unknown capability NET_RAW"):
        capabilities.mask_of(("NET_RAW",))


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (1024, 39), (262144, 10000), (1, 1), (10**9, 10000)])
def test_cpu_shares_become_a_weight(shares: int, weight: int) -> None:
    assert cgroup2.cpu_weight(shares) == weight


@pytest.mark.parametrize(("old", "new"), [(10, 1), (500, 4950), (1000, 10000), (5000, 10000)])
def test_block_io_weights_are_scaled(old: int, new: int) -> None:
    assert cgroup2.io_weight(old) == new


def test_limits_in_version_two() -> None:
    limits = Resources(
        memory=100,
        memory_swap=150,
        memory_reservation=50,
        cpu_shares=1024,
        cpu_quota=5000,
        cpuset_cpus="0",
        pids_limit=-1,
    )
    assert {file: value for file, value, _ in cgroup2.settings_of(limits)} == {
        "memory.max": "100", "memory.swap.max": "50", "memory.low": "50", "cpu.weight": "39", "cpu.max": "5000 100000",
        "cpuset.cpus": "0", "pids.max": "max",
    }  # fmt: skip
    unlimited = Resources(memory=100, memory_swap=-1, cpu_period=1000)
    assert {file: value for file, value, _ in cgroup2.settings_of(unlimited)} == {
        "memory.max": "100", "memory.swap.max": "max", "cpu.max": "max 1000"
    }  # fmt: skip
    assert cgroup2.settings_of(Resources()) == []


def test_limits_of_block_devices_in_both_versions() -> None:
    limits = Resources(block_devices=(("read_bps", "8:0", 1024), ("write_iops", "8:0", 5), ("weight", "8:16", 1000)))
    assert [(file, value) for _, file, value, _ in cgroup1.settings_of(limits)] == [
        ("blkio.throttle.read_bps_device", "8:0 1024"),
        ("blkio.throttle.write_iops_device", "8:0 5"),
        ("blkio.weight_device", "8:16 1000"),
    ]
    assert [(file, value) for file, value, _ in cgroup2.settings_of(limits)] == [
        ("io.max", "8:0 rbps=1024"),
        ("io.max", "8:0 wiops=5"),
        ("io.weight", "8:16 10000"),
    ]


def test_memory_is_limited_before_memory_and_swap() -> None:
    files = [file for _, file, _, _ in cgroup1.settings_of(Resources(memory=100, memory_swap=200))]
    assert files == ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
    assert cgroup1.settings_of(Resources()) == []


MOUNTINFO = """\
22 1 0:20 / /sys/fs/cgroup rw - tmpfs tmpfs rw
23 22 0:21 / /sys/fs/cgroup/cpu,cpuacct rw shared:1 - cgroup cgroup rw,cpu,cpuacct
24 22 0:22 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
25 22 0:23 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
26 22 0:21 / /mnt/other rw - cgroup cgroup rw,cpu,cpuacct
"""


def test_hierarchies_are_read_from_the_mount_table() -> None:
    found = cgroups.Hierarchies(MOUNTINFO)
    assert found.unified == "/sys/fs/cgroup/unified"
    assert found.legacy == {"cpu": "/sys/fs/cgroup/cpu,cpuacct", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct"}


def test_a_device_program_is_as_long_as_its_tests() -> None:
    size = len(devicefilter.assemble(()))
    assert len(devicefilter.assemble(("a *:* rwm",))) - size == 2 * 8
    assert len(devicefilter.assemble(("c 1:3 rwm",))) - size == 5 * 8
    assert len(devicefilter.assemble(("c 1:3 r",))) - size == 8 * 8


def test_the_first_variable_of_a_name_counts() -> None:
    process = Process(("x",), ("A=1", "A=2", "B", "=c", "D="))
    assert program.environment(process, "/home") == {"A": "1", "D": "", "HOME": "/home"}
    assert program.environment(Process(("x",), ("HOME=/own",)), "/home") == {"HOME": "/own"}


def test_programs_are_found_on_the_path_and_misses_explained(tmp_path: Path) -> None:
    for name, mode in (("plain", 0o644), ("tool", 0o755)):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(mode)
    (tmp_path / "folder").mkdir()
    path = f"/nonexistent:{tmp_path}"
    assert program.find("tool", path) == f"{tmp_path}/tool"
    for name in ("folder", "none"):
        with pytest.raises(program.Failure, match="executable file not found in [$]PATH") as caught:
            program.find(name, path)
        assert caught.value.code == 127
    with pytest.raises(program.Failure, match="is a directory") as caught:
        program.find(f"{tmp_path}/folder", path)
    assert caught.value.code == 126
    with pytest.raises(program.Failure, match="no such file or directory") as caught:
        program.find(f"{tmp_path}/none", path)
    assert caught.value.code == 127


def test_paths_inside_a_root_never_leave_it(tmp_path: Path) -> None:
    """Absolute links, ``..`` and dangling links are made and resolved below the root."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "absolute").symlink_to(outside)
    (root / "upward").symlink_to("../../../../.." + str(outside))
    (root / "loop").symlink_to("loop")
    (root / "file").write_text("x")
    fd = os.open(root, os.O_PATH)
    try:
        for path in ("/absolute/a", "/upward/b", "/c/../../../d", "/e/f/g"):
            os.close(inroot.ensure_folder(fd, path))
        os.close(inroot.ensure_file(fd, "/absolute/file"))
        for path, reason in (("/loop/x", OSError), ("/file/x", NotADirectoryError)):
            with pytest.raises(reason):
                inroot.ensure_folder(fd, path)
    finally:
        os.close(fd)
    assert os.listdir(outside) == []
    inside = Path(str(root) + str(outside))
    assert sorted(os.listdir(inside)) == ["a", "b", "file"]
    assert (root / "d").is_dir()
    assert (root / "e/f/g").is_dir()
