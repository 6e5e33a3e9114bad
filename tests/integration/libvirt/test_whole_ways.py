"""From ``create`` to a container and ``rm`` in a libvirt of the user's own and in one behind SSH, by the program."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pymachine.drivers.libvirt.images.library import VMImage
from support.busybox import rootfs_tar
from support.libvirthost import LibvirtHost
from support.libvirtsession import session_user
from support.program import Program, environment
from support.sshd import ssh_server

pytestmark = [pytest.mark.root, pytest.mark.slow]
BOOT = 1800
"""Seconds; emulated, on a computer that does other things too."""
CREATE = ("create", "-d", "libvirt", "--timeout", str(BOOT), "--libvirt-domain-type=qemu", "--libvirt-memory=768m")


def docker(exports: str, *words: str, stdin: bytes = b"") -> str:
    """The docker command in a shell that has evaluated *exports*."""
    script = f'{exports}\nexec docker "$@"'
    done = subprocess.run(["sh", "-c", script, "sh", *words], env=environment(), input=stdin, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def holds_a_container(exports: str) -> None:
    docker(exports, "import", "-", "busybox:latest", stdin=rootfs_tar())
    assert docker(exports, "run", "--rm", "busybox", "echo", "from the guest") == "from the guest\n"


def test_in_the_users_own_session(built_image: VMImage, libvirt_system: LibvirtHost) -> None:
    with session_user() as user:
        image = user.home / "debian.qcow2"
        shutil.copy(built_image.path, image)
        os.chown(image, user.uid, user.uid)
        flags = ("--libvirt-uri", "qemu:///session", "--libvirt-image", str(image))
        try:
            done = user.run(*user.argv(*CREATE, *flags, "own"), timeout=BOOT)
            assert done.returncode == 0, done.stdout + done.stderr
            assert user.ok("url", "own").startswith("tcp://127.0.0.1:")
            holds_a_container(user.ok("env", "--shell", "sh", "own"))
            assert user.ok("ssh", "own", "cat", "/sys/class/dmi/id/sys_vendor").strip() == "QEMU"
        finally:
            user.ok("rm", "-f", "-y", "own")
        assert user.ok("ls", "-q") == ""


def test_behind_ssh(libvirt_system: LibvirtHost, debian_image: str, tmp_path: Path) -> None:
    with ssh_server(tmp_path / "sshd") as server, contextlib.ExitStack() as after:
        ssh = tmp_path / "ssh"  # as the user's own configuration of ssh would have it
        ssh.write_text(
            f"#!/bin/sh\nexec ssh -F none -i {server.directory}/id_client -o StrictHostKeyChecking=accept-new "
            f'-o UserKnownHostsFile={server.directory}/known_hosts "$@"\n'
        )
        ssh.chmod(0o755)
        uri = f"qemu+ssh://root@127.0.0.1:{server.port}/system?socket={libvirt_system.socket}&command={ssh}"
        program = Program(tmp_path / "store")
        after.callback(program.run, "rm", "-f", "-y", "far")
        program.ok(
            *CREATE, "--libvirt-uri", uri, "--libvirt-image", debian_image, "--libvirt-pool", "far", "far", timeout=BOOT
        )
        holds_a_container(program.ok("env", "--shell", "sh", "far"))
        program.ok("rm", "-y", "far")
        assert program.ok("ls", "-q") == ""
