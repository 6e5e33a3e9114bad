"""Remove what a killed test run left: local machines, bridges, firewall chains, control groups, folders.

Tests name what they make so that this finds it; run it only while no tests run (``make clean`` does, and
``make test`` before it starts). A run's processes and mounts go with the namespaces that ``scripts/sandbox``
gave it.

``python -m support.sweep FOLDER…`` keeps to what lies in these folders, and so can be run beside other tests.
"""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pymachine.drivers.local.driver import LocalDriver
from pymachine.drivers.local.options import Options
from pymachine.drivers.local.removal import remove_tree
from pymachine.drivers.testing import Workbench
from support.libvirthost import end_all, forget

PLACES = ("/tmp", "/var/tmp")
FOLDERS = "pymachine-*"
LINKS = re.compile(r"pye[0-9a-f]{3,6}|bench-ours")
"""Bridges that tests and benchmarks give their engines."""
CGROUPS = ("pye[0-9a-f]*[0-9a-f]", "bench-*", "pymachine-test-*", "pymachine-local-*", "pymachine-rehearsal-*")
"""The last two are not the tests' alone; groups in which somebody lives are left alone."""
USERS = "pymtest"
"""What names of users begin with that tests make."""
_CHAIN = re.compile(r"^:((?:PYE-[A-Z]+|PYMACHINE)-(\S+)) ", re.MULTILINE)


def sweep(places: Sequence[str] = ()) -> list[str]:
    """Remove all of it, or only what lies in folders of tests in *places*; what was removed, in words."""
    folders = _folders_of_tests(places or PLACES)
    if places:  # users, libvirts, chains, control groups and most bridges do not tell whose they are
        return [*_machines(folders), *_links_of(folders), *_remove(folders)]
    made = [*_machines(folders), *_libvirts(), *_users(), *_links(), *_chains(), *_cgroups()]
    return made + list(_remove(_folders_of_tests(PLACES)))


def _folders_of_tests(places: Sequence[str]) -> list[Path]:
    return [path for place in places for path in Path(place).glob(FOLDERS) if path.is_dir() and not path.is_symlink()]


def _machines(folders: Sequence[Path]) -> Iterator[str]:
    for folder in folders:
        for root in (folder, folder / "root"):
            for machine in root.glob("machines/*"):
                _remove_machine(root, machine.name)
                yield f"machine {machine.name}"


def _remove_machine(root: Path, machine_id: str) -> None:
    os.environ["PYMACHINE_LOCAL_ROOT"] = str(root)
    os.environ.setdefault("PYMACHINE_IMAGE_ROOT", "/var/lib/pymachine/images")
    with tempfile.TemporaryDirectory(prefix="pymachine-sweep-") as folder:
        bench = Workbench(Path(folder), name="leftover", timeout=60)
        bench.machine_id = machine_id
        driver: Any = LocalDriver(Options(), bench.context())
        driver.remove()


def _users() -> Iterator[str]:
    for name in [entry.pw_name for entry in pwd.getpwall() if entry.pw_name.startswith(USERS)]:
        Path("/etc/sudoers.d", name).unlink(missing_ok=True)
        subprocess.run(["userdel", "-f", name], check=False, capture_output=True)
        yield f"user {name}"


def _libvirts() -> Iterator[str]:
    """Libvirts of tests with all that they started; the driver's names are not needed, for all is theirs."""
    for folder in Path("/var/tmp").glob("pymachine-libvirt-*"):
        end_all(folder)
        forget(folder)
        yield f"libvirt in {folder}"


def _links() -> Iterator[str]:
    for link in Path("/sys/class/net").iterdir():
        alias = link / "ifalias"
        if LINKS.fullmatch(link.name) or (alias.exists() and "pymachine-" in alias.read_text()):
            yield from _delete(link)


def _links_of(folders: Sequence[Path]) -> Iterator[str]:
    """Bridges whose alias says that they are of a local root in one of the folders."""
    for alias in Path("/sys/class/net").glob("*/ifalias"):
        owner = Path(alias.read_text().strip().removeprefix("pymachine "))
        if any(folder == owner or folder in owner.parents for folder in folders):
            yield from _delete(alias.parent)


def _delete(link: Path) -> Iterator[str]:
    """Unless something is connected to it: then somebody uses it whose folders and processes are not seen from here."""
    if (link / "bridge").exists() and not any((link / "brif").iterdir()):
        subprocess.run(["ip", "link", "delete", link.name], check=False)
        yield f"bridge {link.name}"


def _chains() -> Iterator[str]:
    """Chains of engines whose bridge is gone."""
    for table in ("raw", "nat", "filter"):
        saved = subprocess.run(["iptables-save", "-t", table], capture_output=True, text=True).stdout
        chains = [chain for chain, bridge in _CHAIN.findall(saved) if _of_nobody(chain, bridge)]
        for line in saved.splitlines():
            if line.startswith("-A ") and any(line.endswith(f" -j {chain}") for chain in chains):
                words = line.split()
                subprocess.run(["iptables", "-w", "-t", table, "-D", *words[1:]], check=False)
        for action in ("-F", "-X"):
            for chain in chains:
                subprocess.run(["iptables", "-w", "-t", table, action, chain], check=False)
        yield from (f"chain {chain}" for chain in chains)


def _of_nobody(chain: str, bridge: str) -> bool:
    """Whether it is a chain of tests or of local machines whose bridge, and so who used it, is no more."""
    ours = LINKS.fullmatch(bridge) or chain.startswith("PYMACHINE-")
    return bool(ours) and not Path("/sys/class/net", bridge).exists()


def _cgroups() -> Iterator[str]:
    for pattern in CGROUPS:
        for parent in Path("/sys/fs/cgroup").glob(f"*/{pattern}"):
            if any(path.read_text() for path in (parent / "cgroup.procs", *parent.rglob("cgroup.procs"))):
                continue
            try:
                for folder in sorted((path for path in parent.rglob("*") if path.is_dir()), reverse=True):
                    folder.rmdir()
                parent.rmdir()
            except OSError:  # somebody lives there whose processes are not seen from here
                print(f"{parent} is in use, and stays")
            else:
                yield f"control group {parent}"


def _remove(folders: Sequence[Path]) -> Iterator[str]:
    for folder in folders:
        remove_tree(folder)
        yield f"folder {folder}"


if __name__ == "__main__":
    for item in sweep(sys.argv[1:]):
        print(f"removed {item}")
