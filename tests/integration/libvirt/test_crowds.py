"""Many machines at once by the program: ``create -n 5``, and ten clones; guests too small to be provisioned."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Iterator

import pytest

from pymachine.drivers.libvirt.connection import connect
from support.baredriver import install_bare_driver
from support.libvirthost import LibvirtHost
from support.program import Program

pytestmark = [pytest.mark.root, pytest.mark.slow]
BOOT = 900.0
RUNNING = 1
"""``VIR_DOMAIN_RUNNING``: its guest has begun to boot."""
NUMBER, AT_ONCE, CLONES = 5, 2, 10


@pytest.fixture(scope="module")
def program(
    libvirt_system: LibvirtHost, tiny_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Program]:
    """With a driver like libvirt's."""
    place = tmp_path_factory.mktemp("crowds")
    settings = {"IMAGE": tiny_image, "DOMAIN_TYPE": "qemu", "CPUS": "1", "MEMORY": "256m", "DISK": "1g"}
    settings |= {"POOL": "crowds", "POOL_PATH": f"{libvirt_system.pool}/crowds", "DEFAULT_URI": libvirt_system.uri}
    env = {f"LIBVIRT_{name}": value for name, value in settings.items()}
    env["PYMACHINE_VM_IMAGE_ROOT"] = str(place / "vm-images")
    made = Program(place / "store", env | install_bare_driver(place))
    yield made
    names = made.run("ls", "-q").stdout.split()
    if names:
        made.ok("rm", "-f", "-y", *names)
    domains = [domain.name() for domain in connect(libvirt_system.uri).listAllDomains()]
    assert not [name for name in domains if name.startswith(("web-", "copy-"))]


def _machines(program: Program) -> dict[str, dict[str, str]]:
    return {row["Name"]: row for row in json.loads(program.ok("ls", "--format", "json"))}


def _cut_power(host: LibvirtHost, prefix: str, done: threading.Event) -> None:
    """Of the first domain with the prefix that runs, once."""
    connection = connect(host.uri)
    while not done.wait(0.05):
        for domain in connection.listAllDomains():
            with contextlib.suppress(Exception):
                if domain.name().startswith(prefix) and domain.state()[0] == RUNNING:
                    domain.destroy()
                    return


def test_five_two_at_a_time_and_one_fails(program: Program, libvirt_system: LibvirtHost) -> None:
    """New pool, image and network are made once; the one whose power is cut fails by itself, and goes on later."""
    done = threading.Event()
    cutter = threading.Thread(target=_cut_power, args=(libvirt_system, "web-3-", done))
    cutter.start()
    try:
        args = ("-n", str(NUMBER), "--max-parallel", str(AT_ONCE), "--timeout", str(BOOT), "web")
        made = program.run("create", *args, timeout=BOOT)
    finally:
        done.set()
        cutter.join()
    assert made.returncode == 1
    complaints = [line for line in made.stderr.splitlines() if "web-" in line and "while it should be starting" in line]
    assert len(complaints) == 1, made.stderr
    assert "web-3: " in complaints[0]
    assert "Traceback" not in made.stderr

    rows = _machines(program)
    assert sorted(rows) == [f"web-{number}" for number in range(1, NUMBER + 1)]
    good = [name for name in rows if name != "web-3"]
    assert {rows[name]["State"] for name in good} == {"Running"}
    _stages(made.stdout + made.stderr, good)
    program.ok("create", "--timeout", str(BOOT), "web-3", timeout=BOOT)
    addresses = {program.ok("ip", name).strip() for name in rows}
    assert len(addresses) == NUMBER
    (base,) = [path.name for path in (libvirt_system.pool / "crowds").iterdir() if path.suffix == ".whole"]
    assert base.startswith("pymachine-")


def _stages(output: str, good: list[str]) -> None:
    """Each machine's stages are told with its name, and no more than two were on their way at once. Whose power was cut
    is left out of that: errors are listed at the end."""
    under_way: set[str] = set()
    for line in output.splitlines():
        if not (found := re.match(r"\W*(web-\d)\W+(.*)", line)):
            continue
        name, said = found.groups()
        if "Creating machine" in said and name in good:
            under_way.add(name)
            assert len(under_way) <= AT_ONCE, output
        if "Address" in said:
            under_way.discard(name)
    for name in good:
        told = [line for line in output.splitlines() if name in line]
        for stage in ("Creating machine", "Booting", "Address"):
            assert any(stage in line for line in told), output


def test_ten_clones_have_ten_addresses(program: Program) -> None:
    """Five of each of two machines, made two at a time; they all run at once, beside each other in one network."""
    originals = ("web-1", "web-2")
    program.ok("rm", "-f", "-y", *(name for name in _machines(program) if name not in originals))
    for name in originals:
        program.ok("stop", name)
    for number in range(0, CLONES, len(originals)):
        pair = [
            program.start("clone", "--timeout", str(BOOT), original, f"copy-{number + index}")
            for index, original in enumerate(originals)
        ]
        for process in pair:
            out, err = process.communicate(timeout=BOOT)
            assert process.returncode == 0, out + err
    addresses = {program.ok("ip", f"copy-{number}").strip() for number in range(CLONES)}
    assert len(addresses) == CLONES
    rows = _machines(program)
    assert {rows[f"copy-{number}"]["State"] for number in range(CLONES)} == {"Running"}
