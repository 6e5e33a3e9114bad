"""Images are really built: once for all who ask, whole or not at all, with nothing in them that is secret."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.drivers.local.images.build import build
from pymachine.drivers.local.images.catalog import Catalog, Image
from pymachine.drivers.local.images.digest import tree_digest
from pymachine.drivers.local.layout import Layout
from pymachine.drivers.local.options import Options
from pymachine.drivers.local.removal import remove_tree
from pymachine.machine.errors import DriverError, PreCreateCheckFailed
from support.localmachine import local_machine

pytestmark = [pytest.mark.root, pytest.mark.slow]

SCRIPT = """
from pymachine.drivers.local.images.build import build
print(build(report=lambda line: print(line, flush=True)).digest)
"""


@pytest.fixture
def root() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="pymachine-test-images-", dir="/var/tmp"))
    try:
        yield path
    finally:
        remove_tree(path)  # unlike shutil's, it goes into no mount


@contextlib.contextmanager
def building(root: Path) -> Iterator[subprocess.Popen[str]]:
    """A build in a process of its own."""
    environment = {**os.environ, "PYMACHINE_LOCAL_ROOT": str(root)}
    del environment["PYMACHINE_IMAGE_ROOT"]
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def read_until(process: subprocess.Popen[str], words: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"the build never said {words!r}")


def working_in(root: Path) -> list[str]:
    """Processes whose command line names a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes()
            if os.fsencode(root) in words and path.parent.name != str(os.getpid()):
                found.append(f"{path.parent.name}: {words!r}")
    return found


@pytest.mark.usefixtures("local_root")
def test_two_builds_at_once_and_one_more(root: Path, image: Image) -> None:
    """The second waits for the first and takes its image; a third finds it up to date. Same packages, same digest."""
    with building(root) as first, building(root) as second:
        outputs = [process.communicate()[0].splitlines() for process in (first, second)]
    assert sum("Another build is running; waiting for it..." in lines for lines in outputs) == 1
    assert outputs[0][-1] == outputs[1][-1]
    layout = Layout(root, root / "images")
    said: list[str] = []
    again = build(report=said.append, layout=layout)
    assert again.digest == outputs[0][-1]
    assert "up to date" in said[0]
    assert tree_digest(again.rootfs)[0] == again.digest
    assert not [name for name in os.listdir(layout.images) if name.startswith((".building", ".removing"))]
    assert list((again.rootfs / "etc/ssh").glob("ssh_host*")) == []
    assert (again.rootfs / "etc/machine-id").read_text() == ""
    assert again.packages > 100
    Catalog(layout.images).remove("debian-12")
    assert Catalog(layout.images).images() == []


@pytest.mark.usefixtures("local_root")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_build_leaves_nothing_that_counts(root: Path, number: signal.Signals) -> None:
    """No image, no mount, and soon no process; what is left of files is swept by the next build."""
    with building(root) as process:
        read_until(process, "extracting archives")
        process.send_signal(number)
        assert process.wait(30) != 0
    catalog = Catalog(root / "images")
    assert catalog.images() == []
    deadline = time.monotonic() + 60
    while (left := working_in(root)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []
    assert str(root) not in Path("/proc/self/mountinfo").read_text()
    with catalog.build_lock(lambda: None):
        catalog.sweep(".building-")
    assert sorted(os.listdir(root / "images")) == [".build.lock"]


def test_a_used_image_is_not_removed(local_root: Path, image: Image) -> None:
    """The machine that uses it is named."""
    with local_machine("user-of-it") as machine:
        machine.create()
        with pytest.raises(DriverError, match="used by .*user-of-it"):
            Catalog(Layout.from_environment().images).remove(image.digest)
        assert machine.ssh("echo unharmed") == "unharmed"


def test_checks_name_every_problem(local_root: Path, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    """A missing image, mount source and CPUs in one message, with what to run."""
    monkeypatch.setenv("PYMACHINE_IMAGE_ROOT", str(root))
    with local_machine(options=Options(mount=("/no/such:/mnt",), cpus=4096)) as machine:
        with pytest.raises(PreCreateCheckFailed) as caught:
            machine.driver.pre_create_check()
        for words in ('no image "debian-12"', "/no/such does not exist", "4096 is more than"):
            assert words in str(caught.value)
        assert "pymachine image build" in caught.value.hint
        with pytest.raises(DriverError, match="no image"):
            machine.driver.create()


def test_overlay_is_tried(local_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A root where the kernel will not lay an overlay is found before anything is made: here, on an overlay."""
    base = Path(tempfile.mkdtemp(dir=local_root))
    for name in ("l", "u", "w", "m"):
        (base / name).mkdir()
    data = f"lowerdir={base}/l,upperdir={base}/u,workdir={base}/w"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", data, base / "m"], check=True)
    try:
        monkeypatch.setenv("PYMACHINE_LOCAL_ROOT", str(base / "m"))
        with local_machine() as machine, pytest.raises(PreCreateCheckFailed, match="overlay mounts do not work in"):
            machine.driver.pre_create_check()
        assert os.listdir(base / "m") == []
    finally:
        subprocess.run(["umount", base / "m"], check=True)
        shutil.rmtree(base)
