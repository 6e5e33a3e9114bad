"""A machine's own layer before its first boot, its command line, and the removal of its folder."""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from pymachine.drivers.local import cgroups, host, launch, readiness, seed
from pymachine.drivers.local.driver import choose_cpus
from pymachine.drivers.local.guestuser import account_files
from pymachine.drivers.local.layout import Layout, MachinePaths, short_name, veth_name
from pymachine.drivers.local.options import Mount
from pymachine.drivers.local.removal import remove_tree
from pymachine.drivers.local.subnets import Lease
from pymachine.drivers.local.supervisor import own_v2_cgroup
from pymachine.machine.errors import DeadlineExceeded, DriverError, InvalidOption

MACHINE_ID = "c0cdb22c-3821-44a0-a8bc-48be7b52c187"
LEASE = Lease(IPv4Network("10.99.0.0/24"), "pym0a63000024", IPv4Address("10.99.0.7"))


@pytest.fixture
def paths(tmp_path: Path) -> MachinePaths:
    machine = Layout(tmp_path / "root", tmp_path / "images").machine(MACHINE_ID)
    machine.directory.mkdir(parents=True)
    return machine


@pytest.fixture
def rootfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An image's accounts; ownership cannot be given away without root."""
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: None)
    (tmp_path / "image/etc").mkdir(parents=True)
    (tmp_path / "image/etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nold:x:1000:1000::/home/old:/bin/sh\n")
    (tmp_path / "image/etc/group").write_text("root:x:0:\nold:x:1000:\nother:x:1001:\n")
    (tmp_path / "image/etc/shadow").write_text("root:*:1::::::\n")
    return tmp_path / "image"


def identity(user: str = "root") -> seed.Identity:
    return seed.Identity(MACHINE_ID, "web-1", LEASE, "ssh-ed25519 AAAA me", user)


def test_the_layer_has_all_that_makes_the_machine(paths: MachinePaths, rootfs: Path) -> None:
    """Name, id, address, key; the modes are those of the directories that it lies over, whatever the umask."""
    before = os.umask(0o077)
    try:
        public = seed.write_layer(paths, rootfs, identity())
    finally:
        os.umask(before)
    upper = paths.upper
    assert (upper / "etc/hostname").read_text() == "web-1\n"
    assert (upper / "etc/machine-id").read_text() == MACHINE_ID.replace("-", "") + "\n"
    assert "Address=10.99.0.7/24\nGateway=10.99.0.1\n" in (upper / "etc/systemd/network/10-host0.network").read_text()
    assert (upper / "root/.ssh/authorized_keys").read_text() == "ssh-ed25519 AAAA me\n"
    assert public.startswith("ssh-ed25519 ")
    modes = {name: stat.S_IMODE((upper / name).stat().st_mode) for name in ("", "etc", "root", "root/.ssh")}
    assert modes == {"": 0o755, "etc": 0o755, "root": 0o700, "root/.ssh": 0o700}
    assert stat.S_IMODE((upper / "etc/ssh/ssh_host_ed25519_key").stat().st_mode) == 0o600


def test_the_layer_is_written_once(paths: MachinePaths, rootfs: Path) -> None:
    """From its first boot on it is the machine's; what an interrupted try left is thrown away."""
    (paths.directory / "upper.new/etc").mkdir(parents=True)
    first = seed.write_layer(paths, rootfs, identity())
    (paths.upper / "etc/hostname").write_text("changed by its owner\n")
    assert seed.write_layer(paths, rootfs, identity()) == first
    assert (paths.upper / "etc/hostname").read_text() == "changed by its owner\n"
    assert not (paths.directory / "upper.new").exists()


def test_two_machines_have_different_host_keys(tmp_path: Path, rootfs: Path) -> None:
    """Made for each."""
    keys = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        keys.add(seed.write_layer(MachinePaths(tmp_path / name), rootfs, identity()))
    assert len(keys) == 2


def test_accounts(rootfs: Path) -> None:
    """A new user gets a free number; one that the image has keeps his; a system account is refused."""
    user, files = account_files(rootfs, "new")
    texts = {name: text for name, text, _ in files}
    assert (user.uid, user.home) == (1002, "/home/new")
    assert texts["etc/passwd"].endswith("\nnew:x:1002:1002::/home/new:/bin/bash\n")
    assert texts["etc/shadow"].endswith("\nnew:*:19000:0:99999:7:::\n")
    known, files = account_files(rootfs, "old")
    assert (known.uid, [name for name, _, _ in files]) == (1000, ["etc/sudoers.d/90-old"])
    with pytest.raises(InvalidOption, match="system account"):
        account_files(rootfs, "root")


def test_nspawn_command_line(paths: MachinePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Colons in paths are escaped, read-only mounts are so, and nothing is registered anywhere."""
    monkeypatch.setattr(host, "find", lambda program: f"/bin/{program}")
    plan = launch.Launch(MACHINE_ID, paths, Path("/image"), "br", cgroups.Limits(), [Mount("/a:b", "/c\\d", True)])
    argv = launch.nspawn_argv(plan)
    assert argv[-1] == "--bind-ro=/a\\:b:/c\\\\d"
    assert {"--boot", "--register=no", "--keep-unit", "--network-bridge=br", "--machine=pym-c0cdb22c"} <= set(argv)
    assert f"--bind={paths.data}/pyengine:/var/lib/pyengine" in argv


def test_names_fit() -> None:
    """An interface's name has 15 bytes at most; a machine id is no path."""
    assert short_name(MACHINE_ID) == "pym-c0cdb22c"
    assert len(veth_name(MACHINE_ID)) == 15
    for wrong in ("", "..", "a/b", "a\0"):
        with pytest.raises(ValueError, match="machine id"):
            Layout(Path("/r"), Path("/i")).machine(wrong)


def test_cpus_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours get different CPUs; all or none means no limit."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 4, 5})
    assert [choose_cpus(1, number) for number in range(5)] == ["0", "1", "4", "5", "0"]
    assert [choose_cpus(3, number) for number in range(2)] == ["0,1,4", "0,1,5"]
    assert [choose_cpus(wanted, 1) for wanted in (0, 4, 9)] == ["", "", ""]


def test_console_end_is_one_plain_line(paths: MachinePaths) -> None:
    """Colours and control characters go; only the last lines stay."""
    assert launch.console_end(paths) == "no console log"
    paths.console.write_bytes(b"early\n" * 5000 + b"\x1b[0;32mOK\x1b[0m one\r\n\n\x07two\n")
    assert launch.console_end(paths, lines=2) == "OK one | two"


def test_removal_does_not_follow_links(tmp_path: Path) -> None:
    """Links go, what they point to stays; names that are no UTF-8 and deep folders go too."""
    keep = tmp_path / "keep"
    keep.mkdir()
    (keep / "file").touch()
    top = tmp_path / "top"
    (top / "a/b/c").mkdir(parents=True)
    (top / "a/out").symlink_to(keep)
    (top / "a/gone").symlink_to("nowhere")
    with open(os.fsencode(top / "a") + b"/\xff", "w"):
        pass
    os.mkfifo(top / "fifo")
    remove_tree(top)
    remove_tree(top)
    assert os.listdir(tmp_path) == ["keep"]
    (tmp_path / "link").symlink_to(keep)
    remove_tree(tmp_path / "link")
    assert (keep / "file").exists()


def serve(answer: bytes) -> tuple[int, threading.Thread, socket.socket]:
    """A server on loopback that answers each connection with the same bytes."""
    server = socket.create_server(("127.0.0.1", 0))

    def loop() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.sendall(answer)

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    return server.getsockname()[1], thread, server


def test_readiness_waits_for_ssh_itself() -> None:
    """The version line is what counts, not an open port."""
    port, _, server = serve(b"SSH-2.0-x\r\n")
    readiness.wait_for_banner("127.0.0.1", time.monotonic() + 5, alive=lambda: True, console=str, port=port)
    server.close()
    port, _, server = serve(b"HTTP/1.0\r\n")
    with pytest.raises(DeadlineExceeded, match="is no SSH server") as caught:
        readiness.wait_for_banner(
            "127.0.0.1", time.monotonic() - 1, alive=lambda: True, console=lambda: "the end", port=port
        )
    assert caught.value.hint == "the end"
    server.close()


def test_readiness_ends_with_the_machine() -> None:
    """A machine that died is not waited for."""
    with pytest.raises(DriverError, match="ended while it was starting: panic"):
        readiness.wait_for_banner(
            "127.0.0.1", time.monotonic() + 60, alive=lambda: False, console=lambda: "panic", port=1
        )


def test_the_v2_cgroup_is_found() -> None:
    """Below the mounted tree; none when there is no tree, or the process is at its top."""
    v1 = "30 22 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    hybrid = v1 + "31 22 0:27 / /sys/fs/cgroup/unified rw - cgroup2 c rw\n"
    assert own_v2_cgroup("1:cpu:/a\n0::/a/b\n", hybrid) == "/sys/fs/cgroup/unified/a/b"
    assert own_v2_cgroup("1:cpu:/a\n0::/\n", hybrid) == ""
    assert own_v2_cgroup("0::/a\n", "30 22 0:26 / / rw - ext4 /dev/vda rw\n") == ""
