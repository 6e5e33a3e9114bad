"""Local machines on a computer whose process 1 is systemd.

The computer is itself a local machine: it has the repository and this computer's systemd-nspawn mounted in it,
and makes a machine of its own, by ``systemd-run``.
"""

from __future__ import annotations

import json
import shutil
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from pymachine.drivers.local.layout import Layout
from pymachine.drivers.local.options import Options
from support.localmachine import LocalMachine, local_machine

pytestmark = pytest.mark.root

REPOSITORY = Path(__file__).resolve().parents[3]
IMAGES = "/srv/images"
INNER = """
import json, os, subprocess, sys
sys.path[:0] = {paths!r}
os.environ.update(PYMACHINE_LOCAL_ROOT="/var/lib/pyengine/nested", PYMACHINE_IMAGE_ROOT={images!r})
from support.localmachine import local_machine, traces
from pymachine.drivers.local.layout import Layout
from pymachine.drivers.local.options import Options

def units():
    command = ["systemctl", "list-units", "--plain", "--no-legend", "--all", "pymachine-local-*"]
    return [line.split()[2:4] for line in subprocess.run(command, capture_output=True, text=True).stdout.splitlines()]

seen = {{}}
with local_machine("inner", Options(memory="256m", cpus=1)) as machine:
    machine.driver.pre_create_check()
    machine.create()
    seen["created"] = [machine.driver.state(), units()]
    limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>&- || cat /sys/fs/cgroup/memory.max"
    seen["limits"] = machine.ssh(f"nproc; {{limit}}")
    machine.driver.stop()
    seen["stopped"] = [machine.driver.state(), units()]
    machine.driver.start()
    subprocess.run(["systemctl", "stop", "pymachine-local-*"], check=True)
    seen["unit stopped"] = [machine.driver.state(), units()]
    seen["console"] = machine.driver._paths.console.read_text()[-500:]
    machine.driver.start()
    machine.driver.kill()
    seen["killed"] = [machine.driver.state(), units()]
    machine.driver.start()
    machine.driver.remove()
    seen["removed"] = [machine.driver.leftovers(), units()]
print(json.dumps(seen))
"""


def test_machines_are_units_of_systemd(local_root: Path) -> None:
    """A machine is a transient unit that outlives the session, ends well when systemd stops it, and leaves nothing."""
    seen = run_inside()
    assert seen["created"] == ["Running", [["active", "running"]]]
    assert seen["limits"].split() == ["1", str(256 << 20)]
    assert seen["stopped"] == ["Stopped", []]
    assert seen["unit stopped"] == ["Stopped", []]
    assert "Halting" in seen["console"] or "Powering off" in seen["console"]
    assert seen["killed"] == ["Stopped", []]
    assert seen["removed"] == [[], []]


def run_inside() -> dict[str, Any]:
    libraries = sysconfig.get_path("purelib")
    nspawn = shutil.which("systemd-nspawn")
    assert nspawn is not None
    mounts = [
        f"{REPOSITORY}:{REPOSITORY}:ro",
        f"{libraries}:{libraries}:ro",
        f"{nspawn}:/usr/local/bin/systemd-nspawn:ro",
        f"{shutil.which('ssh')}:/usr/local/bin/ssh:ro",
        f"{Layout.from_environment().images}:{IMAGES}",
    ]
    paths = [str(REPOSITORY / "src"), str(REPOSITORY / "tests"), libraries]
    script = INNER.format(paths=paths, images=IMAGES)
    with local_machine("outer", Options(mount=tuple(mounts))) as outer:
        outer.create()
        if missing := outer.ssh("ldd /usr/local/bin/systemd-nspawn | grep 'not found'", check=False):
            pytest.skip(f"this computer's systemd-nspawn does not run on the image's libraries: {missing}")
        return last_json(outer, script)


def last_json(outer: LocalMachine, script: str) -> dict[str, Any]:
    """The last line that a script prints."""
    output = outer.ssh("python3 -", stdin=script)
    value: dict[str, Any] = json.loads(output.splitlines()[-1])
    return value
