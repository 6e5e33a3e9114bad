"""Copy files between this computer and machines, by scp(1) or rsync(1): what ``scp`` does."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pymachine.machine.errors import MachineError, MissingRequirement
from pymachine.machine.machine import Machine
from pymachine.machine.operations.places import Place, load_machine
from pymachine.machine.programs import find_program, run_here
from pymachine.machine.ssh.base import SSHEndpoint
from pymachine.machine.ssh.configfile import config_text
from pymachine.store.base import Store


def copy(
    store: Store, source: Place, target: Place, *, recursive: bool = False, delta: bool = False, quiet: bool = False
) -> int:
    """Copy *source* to *target*; with *delta* only what differs. Returns the exit status of scp or rsync.

    From machine to machine the data goes through this computer, since the machines need not know each other.
    """
    if delta and source.machine and target.machine:
        raise MachineError(
            "rsync cannot copy from one machine to another", hint="Leave out --delta: scp goes through this computer."
        )
    program = (
        _program("rsync", "rsync", "--delta option") if delta else _program("scp", "openssh-client", "scp feature")
    )
    with ssh_config(store, [place for place in (source, target) if place.machine]) as config:
        if delta:
            _require_rsync(config, source if source.machine else target)
        build = rsync_line if delta else scp_line
        words = build(program, config, (source, target), recursive=recursive, quiet=quiet)
        sys.stdout.flush()
        return run_here(words)


def scp_line(program: str, config: Path, places: tuple[Place, Place], *, recursive: bool, quiet: bool) -> Sequence[str]:
    """The command line of scp."""
    through_us = ["-3"] if all(place.machine for place in places) else []
    flags = [*through_us, *(["-r"] if recursive else []), *(["-q"] if quiet else [])]
    return [program, "-F", str(config), *flags, "--", *(place.word for place in places)]


def rsync_line(
    program: str, config: Path, places: tuple[Place, Place], *, recursive: bool, quiet: bool
) -> Sequence[str]:
    """The command line of rsync."""
    flags = [*([] if quiet else ["--progress"]), "-e", f'ssh -F "{config}"', *(["-r"] if recursive else [])]
    return [program, *flags, "--", *(place.word for place in places)]


def _require_rsync(config: Path, place: Place) -> None:
    """rsync runs on both sides, and says of a missing one that the protocol has an error. What else keeps it from being
    asked for, it tells itself."""
    if not place.machine:
        return
    ssh = _program("ssh", "openssh-client", "--delta option")
    name = place.word.partition(":")[0]
    asked = [ssh, "-F", str(config), name, "sh -c 'command -v rsync || exit 127'"]
    found = subprocess.run(asked, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if found.returncode == 127:
        raise MissingRequirement(
            f'There is no rsync on the machine "{place.machine}", which the --delta option needs on both sides',
            hint=f"Install its package rsync there: pymachine ssh {place.machine} sudo apt-get install -y rsync "
            "(dnf, zypper, apk and pacman call it the same); or leave out --delta.",
        )


@contextlib.contextmanager
def ssh_config(store: Store, places: Sequence[Place]) -> Iterator[Path]:
    """A configuration file that knows the machines of *places* by name; gone afterwards."""
    endpoints = {place.machine: running_endpoint(load_machine(store, place), "copy") for place in places}
    with tempfile.TemporaryDirectory(prefix="pymachine-") as directory:
        config = Path(directory, "ssh_config")
        config.write_text(config_text(endpoints), encoding="utf-8")
        yield config


def running_endpoint(machine: Machine, what: str) -> SSHEndpoint:
    """Where the SSH server of a running machine is; raises `MachineError` when it does not run."""
    driver = machine.driver()
    if driver.state().value != "Running":
        raise MachineError(
            f'Error: Cannot {what}: Host "{machine.name}" is not running',
            hint=f'Start it first: "pymachine start {machine.name}".',
        )
    return driver.ssh_endpoint()


def _program(name: str, package: str, feature: str) -> str:
    complaint = f"You must have a copy of the {name} binary locally to use the {feature}"
    return find_program(name, package=package, complaint=complaint)
