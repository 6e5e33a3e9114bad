"""A `local` host for each instance, in the server's process: booted, stopped and removed with it.

As at EC2, a stopped instance comes back with another address, and the key of its key pair may log in.
"""

from __future__ import annotations

import ipaddress
import itertools
import shutil
import tempfile
from pathlib import Path

from pymachine.drivers.local.options import Options
from support.ec2 import moto_side, wire
from support.ec2.wire import Answer, Call
from support.localmachine import LocalMachine

USER = "ubuntu"
_machines: dict[str, LocalMachine] = {}
_numbers = itertools.count(200)


def follow(call: Call, answer: Answer) -> None:
    """Do to the hosts what was done to their instances."""
    verb = {
        "RunInstances": _boot,
        "StartInstances": _start,
        "StopInstances": lambda identity: _machines[identity].driver.stop(),
        "TerminateInstances": _remove,
    }.get(call.action)
    if verb and answer.status.startswith("200"):
        for element in wire.document(answer).iter("instanceId"):
            verb(element.text or "")


def remove_all() -> None:
    """At the end."""
    for identity in list(_machines):
        _remove(identity)


def _boot(identity: str) -> None:
    place = Path(tempfile.mkdtemp(prefix="pymachine-host-"))
    machine = LocalMachine(place, f"ip-{identity[-8:]}", Options(ssh_user=USER))
    _machines[identity] = machine
    machine.create()
    machine.ssh("cat >> ~/.ssh/authorized_keys", stdin=f"{moto_side.public_key(identity)}\n")
    moto_side.hosts[identity] = machine.driver.address()


def _start(identity: str) -> None:
    machine = _machines[identity]
    machine.driver.start()
    network = ipaddress.ip_interface(f"{machine.driver.address()}/24").network
    address = network.network_address + next(_numbers)
    machine.ssh(f"sudo ip address add {address}/24 dev host0")
    moto_side.hosts[identity] = str(address)


def _remove(identity: str) -> None:
    machine = _machines.pop(identity, None)
    if machine is not None:
        machine.driver.remove()
        shutil.rmtree(machine.bench.directory)
    moto_side.hosts.pop(identity, None)
