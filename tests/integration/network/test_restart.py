"""The daemon is killed and comes back: containers' networks never notice, and everything is owned again."""

from __future__ import annotations

import dataclasses
import json
import socket
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pymachine.dockerapi.errors import EngineError
from pymachine.engine.network import wiring
from pymachine.engine.network.base import Endpoint, PortBinding, Sandbox
from pymachine.engine.network.catalog import NetworkRequest
from support.network_lab import Lab, ask_tcp, ask_udp, tcp_server, udp_server

pytestmark = pytest.mark.root
InLab = Callable[..., Any]


def reread(sandbox: Sandbox) -> Sandbox:
    """As the container service keeps it: through JSON."""
    document = json.loads(json.dumps(dataclasses.asdict(sandbox)))
    document["endpoints"] = [Endpoint(**entry) for entry in document["endpoints"]]
    document["ports"] = [PortBinding(**entry) for entry in document["ports"]]
    return Sandbox(**document)


def drop_dead(lab: Lab) -> None:
    """What kill -9 does: the daemon's sockets close, and nothing is tidied."""
    lab.controller._drop_all()


def test_translated_ports_work_while_no_daemon_runs(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        sandbox, inside = await lab.container(PortBinding(80, "tcp", "0.0.0.0"), PortBinding(53, "udp", "0.0.0.0"))
        drop_dead(lab)
        with tcp_server(inside, 80), udp_server(inside, 53):
            assert (await ask_tcp("127.0.0.1", sandbox.ports[0].host_port)).endswith("hello")
            assert (await ask_udp("127.0.0.1", sandbox.ports[1].host_port)).endswith("hello")
        await lab.restarted().start([reread(sandbox)])

    in_lab(body)


def test_a_new_daemon_adopts_addresses_ports_and_rules(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        sandbox, inside = await lab.container(PortBinding(80, "tcp"))
        port = sandbox.ports[0].host_port
        drop_dead(lab)
        subprocess.check_call(["iptables", "--wait", "-t", "nat", "-F", f"PYE-NAT-{lab.bridge}"])
        controller = lab.restarted()
        await controller.start([reread(sandbox)])
        await controller.start([reread(sandbox)])
        with tcp_server(inside, 80):
            assert (await ask_tcp("127.0.0.1", port)).endswith("hello")
            assert (await ask_tcp("::1", port)).endswith("hello")
        with pytest.raises(EngineError, match="already allocated"):
            await lab.container(PortBinding(80, "tcp", host_port=port))
        other, _ = await lab.container()
        assert other.endpoints[0].ip_address != sandbox.endpoints[0].ip_address
        rules = subprocess.run(["iptables-save", "-t", "nat"], capture_output=True, text=True, check=True).stdout
        assert rules.count(f"--dport {port} ") == 1
        assert rules.count(f"-A OUTPUT -m addrtype --dst-type LOCAL -j PYE-NAT-{lab.bridge}") == 1

    in_lab(body)


def test_a_connection_lives_through_the_restart(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        sandbox, inside = await lab.container(PortBinding(80, "tcp", "0.0.0.0"))
        with inside.socket(socket.SOCK_STREAM) as listener:
            listener.bind(("0.0.0.0", 80))
            listener.listen()
            with socket.create_connection(("127.0.0.1", sandbox.ports[0].host_port), 3) as client:
                served, _ = listener.accept()
                with served:
                    drop_dead(lab)
                    await lab.restarted().start([reread(sandbox)])
                    client.send(b"still there?")
                    assert served.recv(100) == b"still there?"
                    served.send(b"yes")
                    assert client.recv(100) == b"yes"

    in_lab(body)


def test_leftovers_of_containers_that_ended_meanwhile_go(in_lab: InLab) -> None:
    """Ports, rules and links of a container that ended while no daemon ran."""

    async def body(lab: Lab) -> None:
        sandbox, _ = await lab.container(PortBinding(80, "tcp"))
        drop_dead(lab)
        controller = lab.restarted()
        await controller.start([])
        await controller.settle()
        links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
        assert f"veth{sandbox.endpoints[0].endpoint_id[:11]}" not in links
        again, _ = await lab.container(PortBinding(80, "tcp", host_port=sandbox.ports[0].host_port))
        assert again.endpoints[0].ip_address == sandbox.endpoints[0].ip_address

    in_lab(body)


def test_networks_keep_their_ids_and_subnets(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        made = await lab.controller.create_network(NetworkRequest("mine", labels={"a": "b"}))
        before = {record.name: (record.id, record.subnet) for record in lab.controller.catalog.all()}
        drop_dead(lab)
        controller = lab.restarted()
        await controller.start([])
        assert {record.name: (record.id, record.subnet) for record in controller.catalog.all()} == before
        assert controller.catalog.find(made.id).labels == {"a": "b"}

    in_lab(body)


def test_a_deleted_bridge_is_made_again_with_its_containers(in_lab: InLab) -> None:
    async def body(lab: Lab) -> None:
        sandbox, inside = await lab.container(PortBinding(80, "tcp", "0.0.0.0"))
        drop_dead(lab)
        subprocess.check_call(["ip", "link", "delete", lab.bridge])
        await lab.restarted().start([reread(sandbox)])
        with tcp_server(inside, 80):
            assert (await ask_tcp("127.0.0.1", sandbox.ports[0].host_port)).endswith("hello")

    in_lab(body)


def test_a_removal_that_was_cut_short_can_be_done_again(in_lab: InLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record goes after the bridge, which nobody else would know whose it is."""

    class Killed(Exception):
        pass

    def killed(names: Sequence[str]) -> None:
        raise Killed

    async def body(lab: Lab) -> None:
        record = await lab.controller.create_network(NetworkRequest("doomed"))
        with monkeypatch.context() as patched:
            patched.setattr(wiring, "delete_links", killed)
            with pytest.raises(Killed):
                await lab.controller.remove_network("doomed")
        drop_dead(lab)
        controller = lab.restarted()
        await controller.start([])
        await controller.remove_network("doomed")
        assert record.bridge not in wiring.look().bridges
        assert [record.name for record in controller.catalog.all() if not record.predefined] == []

    in_lab(body)
