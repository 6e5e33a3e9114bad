"""What is released is gone from the host: links, rules, ports, descriptors; also when much happens at once."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from pymachine.dockerapi.errors import EngineError
from pymachine.engine.network.base import PortBinding
from pymachine.engine.network.catalog import NetworkRequest
from support.network_lab import Lab, Namespace, footprint

pytestmark = pytest.mark.root
InLab = Callable[..., Any]


def test_release_leaves_nothing(in_lab: InLab) -> None:
    """Rules and links are the same before and after, and the ports are free again."""

    async def body(lab: Lab) -> None:
        await lab.container()
        before = footprint(lab.bridge)
        sandbox, namespace = await lab.container(PortBinding(80, "tcp"), PortBinding(81, "udp"))
        assert footprint(lab.bridge) != before
        await lab.controller.release(sandbox)
        await lab.controller.release(sandbox)
        namespace.end()
        lab.namespaces.remove(namespace)
        await lab.controller.settle()
        assert footprint(lab.bridge) == before
        for port in sandbox.ports:
            kind = socket.SOCK_STREAM if port.protocol == "tcp" else socket.SOCK_DGRAM
            with socket.socket(socket.AF_INET6 if ":" in port.host_ip else socket.AF_INET, kind) as probe:
                probe.bind((port.host_ip, port.host_port))

    in_lab(body)


def test_removing_everything_leaves_the_host_as_it_was(in_lab: InLab) -> None:
    async def body(lab: Lab) -> str:
        await lab.controller.create_network(NetworkRequest("extra"))
        assert footprint(lab.bridge)
        return lab.bridge

    assert footprint(in_lab(body)) == ""


def test_fifty_at_once(in_lab: InLab) -> None:
    """Fifty containers are allocated, attached and released in parallel: all work, none shares an address."""

    async def body(lab: Lab) -> None:
        namespaces = [lab.namespace() for _ in range(50)]
        before = footprint(lab.bridge)
        started = time.perf_counter()
        made = await asyncio.gather(*(_one(lab, number, namespace.pid) for number, namespace in enumerate(namespaces)))
        print(f"50 allocate+attach, 25 with a port: {(time.perf_counter() - started) * 1000:.0f} ms")
        assert len({sandbox.endpoints[0].ip_address for sandbox in made}) == 50
        assert len({port.host_port for sandbox in made for port in sandbox.ports}) == 25
        await asyncio.gather(*(lab.controller.release(sandbox) for sandbox in made))
        for namespace in namespaces:
            namespace.end()
        lab.namespaces.clear()
        await lab.controller.settle()
        assert footprint(lab.bridge) == before

    async def _one(lab: Lab, number: int, pid: int) -> Any:
        ports = [PortBinding(80, "tcp", "0.0.0.0")] if number % 2 else []
        sandbox = await lab.controller.allocate(f"{number:064x}", "bridge", ports=ports, hostname="h")
        await lab.controller.attach(sandbox, pid)
        return sandbox

    in_lab(body)


def test_a_failed_attach_takes_nothing(in_lab: InLab) -> None:
    """A process that is gone: the error is one line, and after release all is as before."""

    async def body(lab: Lab) -> None:
        before = footprint(lab.bridge)
        gone = Namespace()
        gone.end()
        sandbox = await lab.controller.allocate("a" * 64, "bridge", ports=[PortBinding(80, "tcp")], hostname="h")
        with pytest.raises(EngineError, match="failed to set up the container's network"):
            await lab.controller.attach(sandbox, gone.pid)
        await lab.controller.release(sandbox)
        await lab.controller.settle()
        assert footprint(lab.bridge) == before

    in_lab(body)


def test_the_daemon_stays_in_its_own_namespace_and_keeps_no_descriptors(in_lab: InLab) -> None:
    before = set(os.listdir("/proc/self/task")) - {str(os.getpid())}

    async def body(lab: Lab) -> None:
        await lab.controller.create_network(NetworkRequest("one"))
        await _visit_once(lab)  # what is made once (thread pools, caches) is there from now on
        descriptors = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            await _visit_once(lab)
        assert len(os.listdir("/proc/self/fd")) == descriptors
        own = os.readlink("/proc/self/ns/net")
        started = set(os.listdir("/proc/self/task")) - before
        assert {os.readlink(f"/proc/self/task/{task}/ns/net") for task in started} <= {own}

    async def _visit_once(lab: Lab) -> None:
        namespace = Namespace()
        ports = [PortBinding(80, "tcp"), PortBinding(53, "udp")]
        sandbox = await lab.controller.allocate("c" * 64, "one", ports=ports, hostname="h", aliases=("web",))
        await lab.controller.attach(sandbox, namespace.pid)
        await lab.controller.release(sandbox)
        namespace.end()
        await lab.controller.settle()
        await asyncio.sleep(0)  # closed transports drop their sockets in the loop's next turn

    in_lab(body)
