"""A `local` host for each instance, in the server's process: booted, rebooted, stopped and removed with it.

As at EC2, a stopped instance comes back with another address, the key of its key pair may log in, a reboot comes a
while after the answer, and a key that is pushed by EC2 Instance Connect is good for a minute.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

from pymachine.drivers.local import process
from pymachine.drivers.local.layout import Layout
from pymachine.drivers.local.options import Options
from support.ec2 import moto_side, wire
from support.ec2.wire import Answer, Call
from support.localmachine import LocalMachine

USER = "ubuntu"
PUSHED_SECONDS = 60.0
REBOOT_DELAY = 1.5
"""Seconds from the answer to the reboot: who asks at once still meets the old system."""
_machines: dict[str, LocalMachine] = {}
_numbers = itertools.count(200)
_pushed: dict[str, set[str]] = {}
closed: list[int] = []
"""Ports of new hosts that can be reached from the host itself only, as those that no security group opens."""


def follow(call: Call, answer: Answer) -> None:
    """Do to the hosts what was done to their instances."""
    if not answer.status.startswith("200"):
        return
    if call.action == "SendSSHPublicKey":
        return _push(call.parameters["InstanceId"], call.parameters["SSHPublicKey"].strip())
    if call.action == "RebootInstances":
        for identity in call.listed("InstanceId"):
            threading.Timer(REBOOT_DELAY, _reboot, (identity,)).start()
    verb = {
        "RunInstances": _boot,
        "StartInstances": _start,
        "StopInstances": lambda identity: _machines[identity].driver.stop(),
        "TerminateInstances": _remove,
    }.get(call.action)
    if verb:
        for element in wire.document(answer).iter("instanceId"):
            verb(element.text or "")


def about(identity: str) -> Answer:
    """The process that is a host's init, as JSON: what runs on the host begins there."""
    body = json.dumps({"pid": _init(identity)}).encode()
    return Answer("200 OK", "application/json", body)


def expire_keys() -> Answer:
    """The minute of every pushed key is over."""
    for identity, keys in list(_pushed.items()):
        for key in list(keys):
            _withdraw(identity, key)
    return Answer("200 OK", "application/json", b"{}")


def remove_all() -> None:
    """At the end."""
    for identity in list(_machines):
        _remove(identity)
    closed.clear()


def _boot(identity: str) -> None:
    place = Path(tempfile.mkdtemp(prefix="pymachine-host-"))
    machine = LocalMachine(place, f"ip-{identity[-8:]}", Options(ssh_user=USER))
    _machines[identity] = machine
    machine.create()
    key = moto_side.public_key(identity)
    if key:
        machine.ssh("cat >> ~/.ssh/authorized_keys", stdin=f"{key}\n")
    moto_side.hosts[identity] = machine.driver.address()
    for port in closed:
        rule = ["iptables", "-A", "INPUT", "-p", "tcp", "--dport", str(port), "!", "-i", "lo", "-j", "REJECT"]
        subprocess.run(["nsenter", "--net", "--target", str(_init(identity)), *rule], check=True)


def _start(identity: str) -> None:
    machine = _machines[identity]
    machine.driver.start()
    network = ipaddress.ip_interface(f"{machine.driver.address()}/24").network
    address = f"{network.network_address + next(_numbers)}"
    _give(machine, address)
    moto_side.hosts[identity] = address


def _give(machine: LocalMachine, address: str) -> None:
    machine.ssh(f"sudo ip address add {address}/24 dev host0")


def _reboot(identity: str) -> None:
    machine, address = _machines[identity], moto_side.hosts[identity]
    machine.driver.restart()
    if address != machine.driver.address():
        _give(machine, address)


def _remove(identity: str) -> None:
    machine = _machines.pop(identity, None)
    if machine is not None:
        machine.driver.remove()
        shutil.rmtree(machine.bench.directory)
    moto_side.hosts.pop(identity, None)
    _pushed.pop(identity, None)


def _push(identity: str, key: str) -> None:
    if identity not in _machines:
        return
    with _keys(identity).open("a") as file:
        file.write(f"{key}\n")
    _pushed.setdefault(identity, set()).add(key)
    timer = threading.Timer(PUSHED_SECONDS, _withdraw, (identity, key))
    timer.daemon = True
    timer.start()


def _withdraw(identity: str, key: str) -> None:
    if key not in _pushed.get(identity, ()):
        return
    _pushed[identity].discard(key)
    path = _keys(identity)
    path.write_text("".join(f"{line}\n" for line in path.read_text().splitlines() if line.strip() != key))


def _keys(identity: str) -> Path:
    return Path(f"/proc/{_init(identity)}/root/home/{USER}/.ssh/authorized_keys")


def _init(identity: str) -> int:
    paths = Layout.from_environment().machine(_machines[identity].bench.machine_id)
    supervisor = process.read(paths.pid)
    init = process.init_of(supervisor) if supervisor else None
    assert init is not None, f"the host of {identity} does not run"
    return init.pid
