"""Rules of the firewall: who writes them, with which tools, and what comes of a faulty one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pymachine.dockerapi.errors import EngineError
from pymachine.engine.network.firewall import Firewall, find_tool
from pymachine.engine.network.rules import Published
from support import network_lab
from support.network_lab import Lab

pytestmark = pytest.mark.root
InLab = Callable[..., Any]


def test_a_refused_rule_spoils_no_other(in_lab: InLab) -> None:
    """Ports published at the same moment share one write; the one at fault gets the error, alone."""

    async def body(lab: Lab) -> None:
        firewall = Firewall(lab.bridge)
        await firewall.start(lab.controller.catalog.bridges(), [])
        ports = [Published("tcp", "127.0.0.1", 1 + n, "10.0.0.2", 80, lab.bridge) for n in range(3)]
        ports[1] = Published("tcp", "127.0.0.1", 2, "nonsense", 80, lab.bridge)
        results = await asyncio.gather(*(firewall.publish([port]) for port in ports), return_exceptions=True)
        assert [type(result) for result in results] == [type(None), EngineError, type(None)]
        with pytest.raises(EngineError, match="iptables-restore"):
            await firewall.publish([ports[1]])
        rules = subprocess.run(["iptables-save", "-t", "nat"], capture_output=True, text=True, check=True).stdout
        ours = [line for line in rules.splitlines() if f"-A PYE-NAT-{lab.bridge} " in line]
        found = [line.split("--dport ")[1].split()[0] for line in ours]
        assert found == ["1", "3"]
        await firewall.unpublish(ports)
        await lab.controller.start([])

    in_lab(body)


LEGACY = """
import asyncio, pathlib, subprocess, sys
from support import network_lab
from support.network_lab import PortBinding, ask_tcp, opened_lab, tcp_server

async def main():
    async with opened_lab(pathlib.Path(sys.argv[1])) as lab:
        sandbox, inside = await lab.container(PortBinding(80, "tcp"))
        with tcp_server(inside, 80):
            assert (await ask_tcp("127.0.0.1", sandbox.ports[0].host_port)).endswith("hello")
        saved = subprocess.run(["iptables-legacy-save"], capture_output=True, text=True, check=True).stdout
        assert f"-A PYE-NAT-{lab.bridge}" in saved
    saved = subprocess.run(["iptables-legacy-save"], capture_output=True, text=True, check=True).stdout
    assert "PYE-" not in saved

asyncio.run(main())
"""


def test_the_legacy_tools_do_as_well(tmp_path: Path) -> None:
    """In a network namespace that plays the host: the tables of the legacy variant can't be removed again."""
    for name in ("iptables", "iptables-restore"):
        (tmp_path / name).symlink_to(find_tool(name.replace("iptables", "iptables-legacy", 1)))
    tests = str(Path(network_lab.__file__).parents[1])
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": tests}
    command = 'ip link set lo up && exec "$0" -c "$1" "$2"'
    script = ["unshare", "--net", "sh", "-c", command, sys.executable, LEGACY, str(tmp_path / "lab")]
    subprocess.run(script, env=environment, check=True, timeout=60)


def test_missing_iptables_is_one_clear_error(in_lab: InLab, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(lab: Lab) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("pymachine.engine.network.firewall.which", lambda *_, **__: None)
            with pytest.raises(EngineError, match="iptables-restore was not found: install iptables"):
                await lab.restarted().start([])
        await lab.restarted().start([])

    in_lab(body)
