"""Mount directories of machines by sshfs(1), and unmount them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from pymachine.machine.errors import MachineError, MissingRequirement
from pymachine.machine.operations.copy import run, running_endpoint
from pymachine.machine.operations.places import Place, load_machine
from pymachine.machine.ssh.configfile import config_text
from pymachine.store.atomic import replace_file, storage_errors
from pymachine.store.base import Store

CONFIG = "ssh_config"
"""In the machine's directory: sshfs reads it again when it has to reconnect."""


def mount(store: Store, source: Place, mountpoint: str) -> int:
    """Mount *source* on the directory *mountpoint*; returns sshfs' exit status."""
    program = _require(("sshfs",), "sshfs", "use the mount feature")
    machine = load_machine(store, source)
    endpoint = running_endpoint(machine, "mount")
    _check_mountpoint(mountpoint)
    config = machine.directory / CONFIG
    with storage_errors("cannot write", config):
        replace_file(config, config_text({machine.name: endpoint}).encode())
    options = ["-F", str(config), "-o", "reconnect"]
    # sshfs has no "--": a place begins with a machine's or user's name, the mountpoint is made absolute.
    return run([program, source.word, str(Path(mountpoint).absolute()), *options])


def unmount(mountpoint: str) -> int:
    """Unmount what `mount` mounted; returns the exit status of fusermount (or umount)."""
    where = str(Path(mountpoint).absolute())
    if sys.platform == "darwin":
        return run([_require(("umount",), "umount", "use the unmount option"), where])
    return run([_require(("fusermount3", "fusermount"), "fusermount", "use the unmount option"), "-u", where])


def _check_mountpoint(mountpoint: str) -> None:
    if not Path(mountpoint).is_dir():
        raise MachineError(
            f"{mountpoint} is not a directory of this computer",
            hint=f"Make it, or name another: mkdir -p {mountpoint}",
        )


def _require(programs: tuple[str, ...], name: str, purpose: str) -> str:
    for program in programs:
        found = shutil.which(program)
        if found:
            return found
    package = "sshfs" if name == "sshfs" else "fuse3"
    raise MissingRequirement(
        f"You must have a copy of the {name} binary locally to {purpose}",
        hint=f"apt-get install -y --no-install-recommends {package}",
    )
