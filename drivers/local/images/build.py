"""Build an image with mmdebstrap(1).

The root file system is made in a folder beside the images and renamed when it is complete, so that an
interrupted build leaves nothing that counts; what it leaves is swept by the next. mmdebstrap ends with us, whatever
ends us, and inherits the build lock, so that no build begins while its processes are still ending.
"""

from __future__ import annotations

import datetime
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from pymachine.drivers.local import host, jsonfile
from pymachine.drivers.local.faults import told
from pymachine.drivers.local.images import recipe as recipes
from pymachine.drivers.local.images.catalog import Catalog, Image
from pymachine.drivers.local.images.digest import tree_digest
from pymachine.drivers.local.images.recipe import DEFAULT_IMAGE, Recipe
from pymachine.drivers.local.images.sources import apt_options, debian_sources
from pymachine.drivers.local.layout import Layout
from pymachine.drivers.local.removal import remove_tree
from pymachine.machine.errors import DriverError, MissingRequirement

LEAST_FREE = 1 << 30
"""Bytes a build needs at its peak, with the packages' archives."""
NOT_WANTED = (
    "etc/apt/apt.conf.d/99mmdebstrap",
    "etc/hostname",
    "var/cache/ldconfig/aux-cache",
    "var/log/alternatives.log",
    "var/log/apt",
    "var/log/bootstrap.log",
    "var/log/dpkg.log",
    "var/lib/systemd/random-seed",
    "var/lib/dbus/machine-id",
)
"""What differs from build to build, tells of this computer, or must not be the same in two machines."""
SEALED = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"),
)
"""mmdebstrap mounts /proc, /sys and devices below the new root and unmounts them at its end. In namespaces of its
own (unshare(1)) they are gone with its last process when it is killed, and all its processes go with the first,
which goes with us (setpriv(1))."""
MERGED_USR_HOOK = ("bullseye",)
"""Suites that lay out /usr as all do today only when mmdebstrap's own hook makes them."""
APT_CONF = 'Acquire::Languages "none";\n'


def build(
    name: str = DEFAULT_IMAGE,
    *,
    report: Callable[[str], None],
    force: bool = False,
    layout: Layout | None = None,
    recipe: Recipe | None = None,
) -> Image:
    """Build the image *name*, or return it when it was built from the same recipe (not with *force*).

    Raises `MissingRequirement`, `DriverError` with mmdebstrap's reason, `InvalidOption` for an unknown name.
    """
    chosen = recipe or recipes.find(name)
    catalog = Catalog((layout or Layout.from_environment()).images)
    with told("building the image"):
        return _build_if_needed(catalog, name, chosen, report, force=force)


def _build_if_needed(
    catalog: Catalog, name: str, chosen: Recipe, report: Callable[[str], None], *, force: bool
) -> Image:
    if not force and (image := _present(catalog, name, chosen)):
        report(f"Image {name} is up to date ({image.digest[:12]})")
        return image
    _check(catalog.root)
    catalog.root.mkdir(parents=True, exist_ok=True)
    with catalog.build_lock(lambda: report("Another build is running; waiting for it...")) as lock:
        if not force and (image := _present(catalog, name, chosen)):
            return image
        catalog.sweep(".building-")
        return _build(catalog, name, chosen, lock, report)


def _present(catalog: Catalog, name: str, recipe: Recipe) -> Image | None:
    for image in catalog.images():
        if name in image.names and image.recipe == recipe.digest() and not catalog.damage(image):
            return image
    return None


def _check(root: Path) -> None:
    if host.find("mmdebstrap") is None:
        raise host.missing("mmdebstrap")
    if os.geteuid() != 0:
        raise MissingRequirement("building an image needs root", hint="run the command with sudo")
    place = root
    while not place.is_dir():
        place = place.parent
    if (free := shutil.disk_usage(place).free) < LEAST_FREE:
        raise MissingRequirement(f"only {free >> 20} MiB are free in {place}; a build needs {LEAST_FREE >> 20} MiB")


def _build(catalog: Catalog, name: str, recipe: Recipe, lock: int, report: Callable[[str], None]) -> Image:
    report(f"Building image {name} from Debian {recipe.suite}; this takes about half a minute...")
    place = Path(tempfile.mkdtemp(prefix=".building-", dir=catalog.root))
    try:
        rootfs = place / "rootfs"
        bootstrap(recipe, place, rootfs, lock, report)
        report("Finishing and hashing the image...")
        finish(rootfs, recipe)
        digest, size = tree_digest(rootfs)
        value = {
            "name": name,
            "digest": digest,
            "size": size,
            "created": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "packages": _count_packages(rootfs),
            "recipe": recipe.digest(),
        }
        place.chmod(0o755)
        jsonfile.write(place / "image.json", value)
        os.sync()  # the folder is renamed next, and must not be found empty after a power cut
        image = catalog.add(place, digest, name)
    finally:
        remove_tree(place)
    report(f"Image {name} is ready: {digest[:12]}, {size >> 20} MiB, {image.packages} packages")
    return image


def bootstrap(
    recipe: Recipe,
    place: Path,
    rootfs: Path,
    lock: int,
    report: Callable[[str], None],
    *,
    before: Path | None = None,
) -> None:
    """Make the recipe's packages a root file system in *rootfs*, by mmdebstrap with this computer's own sources.
    What is in the folder *before* is there before all packages but the essential ones."""
    sources = place / "debian.sources"
    text = debian_sources(recipe.suite)
    if "Types:" not in text:
        sources = place / "debian.list"
    sources.write_text(text)
    try:
        _mmdebstrap(_argv(recipe, rootfs, sources if text else None, before), lock, report)
    finally:
        sources.unlink(missing_ok=True)


def _argv(recipe: Recipe, rootfs: Path, sources: Path | None, before: Path | None) -> list[str]:
    path = host.find("mmdebstrap")
    if path is None:
        raise host.missing("mmdebstrap")
    excluded = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
    options = [
        "--mode=root",
        "--format=directory",
        "--variant=minbase",
        "--dpkgopt=force-unsafe-io",
        *[f"--dpkgopt=path-exclude={pattern}" for pattern in excluded],
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        *[f"--aptopt={line}" for line in [*apt_options(), APT_CONF.strip()]],
        f"--include={','.join(recipe.packages)}",
    ]
    if recipe.suite in MERGED_USR_HOOK:
        options.append("--setup-hook=/usr/share/mmdebstrap/hooks/merged-usr/setup00.sh")
    if before is not None:
        options.append(f"--essential-hook=sync-in {shlex.quote(str(before))} /")
    return [*SEALED, path, *options, recipe.suite, str(rootfs), *([str(sources)] if sources else [])]


def _mmdebstrap(argv: list[str], lock: int, report: Callable[[str], None]) -> None:
    """Run it, telling its steps; whatever ends us ends it too."""
    environment = {**os.environ, "PATH": host.SEARCH_PATH, "LC_ALL": "C"}
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environment,
        pass_fds=(lock,),
        start_new_session=True,
    )
    tail: list[str] = []
    try:
        assert process.stderr is not None
        for line in process.stderr:
            _tell(line.strip(), tail, report)
        status = process.wait()
    finally:
        _end(process)
    if status:
        said = next((line for line in reversed(tail) if line.startswith("E:")), tail[-1] if tail else "no message")
        raise DriverError(f"building the image failed: {said}")


def _tell(line: str, tail: list[str], report: Callable[[str], None]) -> None:
    if line.startswith("I: ") and not line.startswith("I: success"):
        report(f"  {line[3:].rstrip('.')}")
    elif line:
        tail.append(line)
        del tail[:-50]


def _end(process: subprocess.Popen[str]) -> None:
    """End the whole session: apt and dpkg are mmdebstrap's children."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def finish(rootfs: Path, recipe: Recipe) -> None:
    """Take out what must not be shared, and put in the recipe's files and masks."""
    for name in NOT_WANTED:
        _remove(rootfs / name)
    for key in (rootfs / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    for name in ("etc/machine-id", "etc/resolv.conf"):
        _remove(rootfs / name)
        _write(rootfs / name, "")
    (rootfs / "var/lib/pyengine").mkdir()
    (rootfs / "var/lib/pyengine").chmod(0o711)
    _write(rootfs / "etc/apt/apt.conf.d/99pymachine", APT_CONF)
    for name, text in recipe.files:
        _write(rootfs / name, text)
    for unit in recipe.masked:
        mask = rootfs / "etc/systemd/system" / unit
        mask.unlink(missing_ok=True)
        mask.symlink_to("/dev/null")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o644)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _count_packages(rootfs: Path) -> int:
    status = (rootfs / "var/lib/dpkg/status").read_text(errors="replace")
    return status.count("\nStatus: install ok installed\n")
