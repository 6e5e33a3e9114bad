"""Mount directories of machines by sshfs(1), and unmount them."""

from __future__ import annotations

import sys
from pathlib import Path

from pymachine.machine.errors import MachineError
from pymachine.machine.operations.copy import running_endpoint
from pymachine.machine.operations.places import Place, load_machine
from pymachine.machine.programs import find_program, run_here
from pymachine.machine.ssh.configfile import config_text
from pymachine.store.atomic import replace_file, storage_errors
from pymachine.store.base import Store

CONFIG = "ssh_config"
"""In the machine's directory: sshfs reads it again when it has to reconnect."""


def mount(store: Store, source: Place, mountpoint: str) -> int:
    """Mount *source* on the directory *mountpoint*; returns sshfs' exit status."""
    complaint = "You must have a copy of the sshfs binary locally to use the mount feature"
    program = find_program("sshfs", package="sshfs", complaint=complaint)
    machine = load_machine(store, source)
    endpoint = running_endpoint(machine, "mount")
    _check_mountpoint(mountpoint)
    config = machine.directory / CONFIG
    with storage_errors("cannot write", config):
        replace_file(config, config_text({machine.name: endpoint}).encode())
    options = ["-F", str(config), "-o", "reconnect"]
    # sshfs has no "--": a place begins with a machine's or user's name, the mountpoint is made absolute.
    return run_here([program, source.word, str(Path(mountpoint).absolute()), *options])


def unmount(mountpoint: str) -> int:
    """Unmount what `mount` mounted; returns the exit status of fusermount (or umount)."""
    where = str(Path(mountpoint).absolute())
    if sys.platform == "darwin":
        return run_here(["/sbin/umount", where])
    complaint = "You must have a copy of the fusermount binary locally to use the unmount option"
    return run_here([find_program("fusermount3", "fusermount", package="fuse3", complaint=complaint), "-u", where])


def _check_mountpoint(mountpoint: str) -> None:
    if not Path(mountpoint).is_dir():
        raise MachineError(
            f"{mountpoint} is not a directory of this computer",
            hint=f"Make it, or name another: mkdir -p {mountpoint}",
        )
