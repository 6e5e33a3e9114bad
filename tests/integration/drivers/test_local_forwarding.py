"""IPv4 forwarding is put back as it was before the first local machine, unless somebody else may need it by then."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

STEPS = """
import json, sys
from ipaddress import IPv4Network
from pathlib import Path
from pymachine.drivers.local import bridge, host
from pymachine.drivers.local.subnets import bridge_name

bridge.STATE = Path(sys.argv[1], "state")
bridge.WE_ENABLED_FORWARDING = bridge.STATE / "ip-forward"
first, second = IPv4Network("10.99.1.0/24"), IPv4Network("10.99.2.0/24")
seen = []

def forwarding(value=""):
    if value:
        bridge.FORWARDING.write_text(value)
    return bridge.FORWARDING.read_text().strip()

def see(what):
    seen.append([what, forwarding(), bridge.WE_ENABLED_FORWARDING.exists()])

def ensure(subnet):
    bridge.ensure(bridge_name(subnet), subnet, subnet.network_address + 1, "/root")

def remove(subnet):
    bridge.remove(bridge_name(subnet), "/root")

forwarding("0")
ensure(first)
ensure(second)
see("two")
remove(first)
see("one")
remove(second)
see("none")
ensure(first)
host.run(["ip", "link", "add", "docker0", "type", "bridge"])
remove(first)
see("none of ours")
ensure(first)
host.run(["ip", "link", "delete", "docker0"])
remove(first)
see("none at all")
forwarding("1")
ensure(first)
see("a router's")
remove(first)
see("a router again")
print(json.dumps(seen))
"""
OWN_NETWORK = 'mount -t sysfs sysfs /sys && exec "$@"'
"""/sys shows the network interfaces of the namespace in which it was mounted (sysfs(5))."""


def test_the_switch_is_put_back(tmp_path: Path) -> None:
    """In a network namespace: other tests have bridges on this computer."""
    enter = ["unshare", "--net", "--mount", "sh", "-c", OWN_NETWORK, "sh"]
    done = subprocess.run([*enter, sys.executable, "-c", STEPS, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    assert json.loads(done.stdout) == [
        ["two", "1", True],
        ["one", "1", True],
        ["none", "0", False],
        ["none of ours", "1", True],
        ["none at all", "0", False],
        ["a router's", "1", False],
        ["a router again", "1", False],
    ]
