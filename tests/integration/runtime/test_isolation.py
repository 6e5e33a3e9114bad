"""What a container can see and do: file systems, devices, privileges, system calls."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from pathlib import Path

import pytest

from pymachine.engine.runtime import capabilities
from pymachine.engine.runtime.base import ContainerHandle, ProcessStream, StartFailed
from pymachine.engine.runtime.spec import Device, Mount, Namespaces, Rlimit, Rootfs
from support.runtimes import Box, plain, read_all

pytestmark = pytest.mark.root

_ALL = {"capabilities": capabilities.NAMES}


def run(box: Box, *args: str, **changes: object) -> str:
    """The output of a container."""
    found: list[str] = []

    async def test() -> None:
        found.append(await box.output(*args, **changes))

    box.run(test)
    return found[0]


def test_no_descriptor_or_link_leads_to_the_host(box: Box) -> None:
    """Only the three standard streams are open; program, directory and root are the container's."""
    script = "for f in /proc/self/fd/* /proc/1/exe /proc/1/cwd /proc/1/root; do readlink $f; done"
    shown = run(box, "sh", "-c", script).split("\n")
    assert shown[0] == "/dev/null"
    assert [line.split(":")[0] for line in shown[1:3]] == ["pipe", "pipe"]
    assert shown[-4:-1] == ["/bin/busybox", "/", "/"]
    assert len(shown) <= 8  # what the shell itself opens to list the folder included


def test_exec_leaks_no_descriptor_either(box: Box) -> None:
    async def test() -> None:
        handle = await box.start(box.spec("sleep", "100"))
        added, stream = await handle.exec(box.process("sleep", "30"), stdin=False, stdout=True, stderr=True)
        assert stream is not None
        for pid in (handle.pid, added.pid):
            assert sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2"]
            assert os.readlink(f"/proc/{pid}/exe") == "/bin/busybox"
            assert os.readlink(f"/proc/{pid}/cwd") == "/"
        await stream.close()

    box.run(test)


def test_the_interpreter_cannot_be_written_through_proc_self_exe(box: Box) -> None:
    """An image whose program is /proc/self/exe runs the shim's own file (CVE-2019-5736): read-only, whoever opens it.

    The root is the host's here, so that the interpreter finds what it needs to run.
    """
    # Opening it for writing would say "text file busy" before anything; so look at the mount it is reached by.
    script = "import os; print(os.fstatvfs(os.open('/proc/self/exe', os.O_RDONLY)).f_flag & os.ST_RDONLY)"
    process = {"capabilities": capabilities.NAMES, "seccomp": "unconfined"}
    shown = run(box, "/proc/self/exe", "-I", "-S", "-c", script, rootfs=Rootfs("bind", source="/"), process=process)
    assert shown == "1\n"


def test_the_spawners_own_file_is_on_a_read_only_mount(box: Box) -> None:
    async def test() -> None:
        spawner = box.runtime.spawner_pid
        fd = os.open(f"/proc/{spawner}/exe", os.O_RDONLY)
        try:
            assert os.fstatvfs(fd).f_flag & os.ST_RDONLY
        finally:
            os.close(fd)

    box.run(test)


def test_links_in_an_image_do_not_lead_mounts_out_of_it(box: Box, tmp_path: Path) -> None:
    """Mount destinations behind absolute links and ``..`` land inside the root, and the host is untouched."""
    outside = tmp_path / "outside"
    outside.mkdir()
    layer = tmp_path / "layer"
    layer.mkdir()
    (layer / "abs").symlink_to(outside)
    (layer / "up").symlink_to("../../../../../.." + str(outside))
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("seen")
    mounts = box.with_mounts(
        Mount("/abs/data", "bind", str(source), ("rbind", "rw")),
        Mount("/up/more", "bind", str(source / "file"), ("rbind", "ro")),
    )
    folder = tmp_path / "links"
    (folder / "up").mkdir(parents=True)
    (folder / "wk").mkdir()
    rootfs = Rootfs("overlay", (str(layer), str(box.lower)), str(folder / "up"), str(folder / "wk"))
    script = f"cat {outside}/data/file {outside}/more; echo x > {outside}/more"
    shown = run(box, "sh", "-c", script, mounts=mounts, rootfs=rootfs)
    assert "seenseen" in shown
    assert "Read-only file system" in shown
    assert os.listdir(outside) == []


def test_a_read_only_bind_cannot_be_written_and_a_writable_one_can(box: Box, tmp_path: Path) -> None:
    source = tmp_path / "volume"
    source.mkdir()
    mounts = box.with_mounts(
        Mount("/ro", "bind", str(source), ("rbind", "ro", "rprivate")),
        Mount("/rw", "bind", str(source), ("rbind", "rw", "rprivate")),
    )
    shown = run(box, "sh", "-c", "touch /ro/a; touch /rw/b; ls /ro", mounts=mounts)
    assert "Read-only file system" in shown
    assert os.listdir(source) == ["b"]


def test_a_read_only_root_leaves_volumes_and_tmpfs_writable(box: Box) -> None:
    mounts = box.with_mounts(Mount("/scratch", "tmpfs", "tmpfs", ("size=1m", "mode=1777")))
    shown = run(
        box,
        "sh",
        "-c",
        "touch /x; touch /scratch/y && echo fine; touch /dev/shm/z && echo too",
        read_only=True,
        mounts=mounts,
    )
    assert "Read-only file system" in shown
    assert "fine\ntoo" in shown


def test_hundreds_of_layers_are_mounted_whatever_their_names(box: Box, tmp_path: Path) -> None:
    lowers = []
    for number in range(200):
        folder = tmp_path / f"layer:{number},{'x' * 60}"
        folder.mkdir()
        (folder / f"file{number}").write_text(str(number))
        lowers.append(str(folder))
    (tmp_path / "u:p,").mkdir()
    (tmp_path / "wk").mkdir()
    rootfs = Rootfs("overlay", (*lowers, str(box.lower)), str(tmp_path / "u:p,"), str(tmp_path / "wk"))
    assert run(box, "sh", "-c", "cat /file0 /file199; echo > /new", rootfs=rootfs) == "0199"
    assert (tmp_path / "u:p," / "new").exists()


def test_a_bind_root_works_too(box: Box) -> None:
    assert run(box, "sh", "-c", "hostname; ls -d /bin", rootfs=Rootfs("bind", source=str(box.lower))) == "box\n/bin\n"


def test_masked_and_read_only_paths(box: Box) -> None:
    script = "wc -c < /proc/keys; ls /sys/firmware | wc -l; echo 1 > /proc/sys/kernel/panic"
    shown = run(box, "sh", "-c", script)
    assert shown.startswith("0\n0\n")
    assert "Read-only file system" in shown


def test_dev_is_its_own_with_the_standard_devices(box: Box) -> None:
    script = "echo x > /dev/null; head -c 3 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c; ls /dev"
    shown = run(box, "sh", "-c", script).split()
    assert shown[:2] == ["3", "4"]
    expected = "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
    assert " ".join(shown[2:]) == expected


def test_the_streams_can_be_opened_by_their_names(box: Box) -> None:
    shown = run(box, "sh", "-c", "echo one > /dev/stderr; echo two > /dev/stdout", process={"user": "nobody"})
    assert sorted(shown.split()) == ["one", "two"]


def test_other_devices_are_refused_even_when_made(box: Box) -> None:
    shown = run(box, "sh", "-c", "mknod /dev/kmsg c 1 11 && echo made; head -c 1 /dev/kmsg", process=_ALL)
    assert "made" in shown
    assert "Operation not permitted" in shown


def test_a_device_asked_for_is_there_and_allowed(box: Box) -> None:
    devices = (Device("/dev/kmsg", "/dev/given/log", "r"),)
    shown = run(
        box, "sh", "-c", "ls -l /dev/given/log; head -c 1 /dev/given/log | wc -c", devices=devices, process=_ALL
    )
    assert "1,  11" in shown
    assert shown.endswith("1\n")


def test_all_devices_of_a_privileged_container(box: Box) -> None:
    shown = run(box, "sh", "-c", "head -c 1 /dev/kmsg | wc -c", all_devices=True, process=_ALL)
    assert shown == "1\n"
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_capabilities_of_root_and_of_others(box: Box) -> None:
    script = "grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp:' /proc/self/status"

    def sets(text: str) -> dict[str, int]:
        return {line.split(":")[0]: int(line.split()[1], 16) for line in text.splitlines()}

    keep = ("CAP_CHOWN", "CAP_KILL")
    mask = capabilities.mask_of(keep)
    root = sets(run(box, "sh", "-c", script, process={"capabilities": keep}))
    assert root == {
        "CapInh": 0, "CapPrm": mask, "CapEff": mask, "CapBnd": mask, "CapAmb": 0, "NoNewPrivs": 0, "Seccomp": 2
    }  # fmt: skip


def test_a_user_has_no_capabilities(box: Box) -> None:
    script = "id; grep -E 'Cap(Prm|Eff)|NoNewPrivs' /proc/self/status; touch /x; echo a > /dev/stdout"
    shown = run(
        box,
        "sh",
        "-c",
        script,
        process={"user": "nobody:daemon", "no_new_privileges": True, "additional_groups": ("77",)},
    )
    assert shown.startswith("uid=65534(nobody) gid=1(daemon) groups=1(daemon),77")
    assert shown.count("0000000000000000") == 2
    assert "NoNewPrivs:\t1" in shown
    assert "Permission denied" in shown
    assert "a\n" in shown


def test_a_file_the_user_may_not_run_is_not_run(box: Box, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir(mode=0o700)
    (secret / "tool").write_text("#!/bin/sh\necho ran\n")
    (secret / "tool").chmod(0o755)
    mounts = box.with_mounts(Mount("/secret", "bind", str(secret), ("rbind",)))

    async def test() -> None:
        assert await box.output("/secret/tool", mounts=mounts) == "ran\n"
        with pytest.raises(StartFailed, match="permission denied") as caught:
            await box.output("/secret/tool", mounts=mounts, process={"user": "nobody"})
        assert caught.value.exit_code == 126

    box.run(test)


def test_the_default_filter_refuses_what_opens_the_host(box: Box) -> None:
    shown = run(box, "sh", "-c", "mount -t tmpfs x /tmp; unshare -m true; chroot / echo rooted")
    assert shown.count("Operation not permitted") + shown.count("permission denied") == 2
    assert shown.endswith("rooted\n")


def test_with_the_capability_the_default_filter_lets_mount_through(box: Box) -> None:
    shown = run(box, "sh", "-c", "mount -t tmpfs x /tmp && echo mounted", process={"capabilities": capabilities.NAMES})
    assert shown == "mounted\n"


def test_a_profile_of_ones_own(box: Box) -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}],
    }
    shown = run(box, "sh", "-c", "mkdir /tmp/x; echo on", process={"seccomp": json.dumps(profile)})
    assert "No space left on device" in shown
    assert shown.endswith("on\n")


def test_unconfined_has_no_filter(box: Box) -> None:
    assert run(box, "grep", "Seccomp:", "/proc/self/status", process={"seccomp": "unconfined"}) == "Seccomp:\t0\n"


@pytest.mark.parametrize("profile", ["{", "[]", '{"defaultAction":"SCMP_ACT_NONE"}'])
def test_a_profile_that_is_none_is_refused(box: Box, profile: str) -> None:
    async def test() -> None:
        with pytest.raises(StartFailed, match="seccomp"):
            await box.start(box.spec("true", process={"seccomp": profile}))

    box.run(test)


def test_limits_are_set_and_too_high_ones_clamped(box: Box) -> None:
    limits = (Rlimit("nofile", 100, 200), Rlimit("core", 0, 0), Rlimit("nproc", 2**40, 2**40))
    shown = run(box, "sh", "-c", "ulimit -n; ulimit -Hn", process={"rlimits": limits, "oom_score_adj": 500})
    assert shown == "100\n200\n"


def test_the_oom_score_is_set(box: Box) -> None:
    assert run(box, "cat", "/proc/self/oom_score_adj", process={"oom_score_adj": 500}) == "500\n"


def test_sysctls_of_its_namespaces_are_set(box: Box) -> None:
    sysctls = (("net.ipv4.ip_forward", "1"), ("kernel.shmmax", "1048576"))
    shown = run(box, "cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/shmmax", sysctls=sysctls)
    assert shown == "1\n1048576\n"


def test_a_sysctl_cannot_name_another_file(box: Box) -> None:
    async def test() -> None:
        for name in ("a./../../x", "net/../../self/oom_score_adj", "no.such.name"):
            with pytest.raises(StartFailed, match="sysctl"):
                await box.start(box.spec("true", sysctls=((name, "1"),)))

    box.run(test)


def test_the_working_directory_is_made_when_missing(box: Box) -> None:
    assert run(box, "pwd", process={"cwd": "/made/for/me"}) == "/made/for/me\n"


def test_the_first_of_two_variables_counts_and_home_is_set(box: Box) -> None:
    shown = run(box, "env", process={"env": ("A=1", "PATH=/usr/bin", "A=2")})
    assert sorted(shown.split()) == ["A=1", "HOME=/root", "PATH=/usr/bin"]


def test_its_cgroup_is_the_root_of_what_it_sees(box: Box) -> None:
    shown = run(
        box, "sh", "-c", "cut -d: -f3 /proc/self/cgroup | sort -u; ls -d /sys/fs/cgroup/*; mkdir /sys/fs/cgroup/x"
    )
    assert shown.startswith("/\n/sys/fs/cgroup/")
    assert "Read-only file system" in shown


def test_mounts_of_the_host_that_are_shared_get_through_both_ways(box: Box, tmp_path: Path) -> None:
    import subprocess

    shared = tmp_path / "shared"
    shared.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "shared", shared], check=True)
    try:
        subprocess.run(["mount", "--make-shared", shared], check=True)
        (shared / "inner").mkdir()

        async def test() -> None:
            mounts = box.with_mounts(Mount("/shared", "bind", str(shared), ("rbind", "rshared")))
            process = {"capabilities": capabilities.NAMES, "seccomp": "unconfined"}
            handle = await box.start(box.spec("sleep", "100", mounts=mounts, process=process))
            command = box.process("mount", "-t", "tmpfs", "in", "/shared/inner", **process)
            added, _ = await handle.exec(command, stdin=False, stdout=False, stderr=False)
            assert (await added.wait()).code == 0
            assert os.path.ismount(shared / "inner")

        box.run(test)
    finally:
        subprocess.run(["umount", "-R", shared], check=True)


def test_host_network_and_exec_into_it(box: Box) -> None:
    async def test() -> None:
        handle = await box.start(box.spec("sleep", "100", namespaces=Namespaces(net="host")))
        command = box.process("ls", "/sys/class/net")
        before = set(os.listdir("/sys/class/net"))
        added, stream = await handle.exec(command, stdin=False, stdout=True, stderr=True)
        assert stream is not None
        shown, after = set(plain(await read_all(stream)).decode().split()), set(os.listdir("/sys/class/net"))
        assert before & after <= shown <= before | after, "tests of other files make and remove links meanwhile"
        assert len(shown) > 1
        await asyncio.wait_for(added.wait(), 10)

    box.run(test)


def test_a_terminal_under_the_small_init(box: Box) -> None:
    shown: list[bytes] = []

    async def test() -> None:
        streams: list[ProcessStream] = []

        async def attach(handle: ContainerHandle) -> None:
            streams.append(await handle.attach(stdin=True, stdout=True, stderr=True))

        spec = box.spec("sh", "-c", "tty; ps -o pid,comm; exit 3", process={"tty": True}, init=True, open_stdin=True)
        handle = await box.start(spec, attach)
        shown.append(await read_all(streams[0]))
        assert (await handle.wait()).code == 3

    box.run(test)
    assert b"/dev/pts/0" in shown[0]
    assert b"1 init" in shown[0]
