"""How programs use the Python interface: mypy must accept every line, with these very types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, assert_type

from pymachine import (
    Client,
    EngineOptions,
    Event,
    Machine,
    MachineError,
    Message,
    Note,
    Progress,
    Stage,
    SwarmOptions,
    Warned,
    follow,
)
from pymachine.drivers.base import Snapshot
from pymachine.machine.bundle.connection import Connection
from pymachine.machine.context.dockerstore import DockerContext
from pymachine.machine.fleet.plan import Plan
from pymachine.machine.operations.create import Request
from pymachine.machine.operations.dockermachine import Import
from pymachine.machine.operations.doctor import Area
from pymachine.machine.operations.many import numbered
from pymachine.machine.operations.observe import Row
from pymachine.machine.ssh.base import Result, SSHSession
from pymachine.store.base import Damaged


def show(event: Event) -> None:
    assert_type(event.machine, str)
    assert_type(event.text, str)
    assert isinstance(event, (Stage, Note, Message, Warned))


def uses(client: Client) -> None:
    machine = client.create(
        "web",
        "local",
        options={"cpus": 2},
        engine=EngineOptions(labels=("a=b",)),
        swarm=SwarmOptions(),
        tls_san=["web.example.org"],
        key_type="ed25519",
        ttl=3600,
        timeout=60,
        on_event=show,
    )
    assert_type(machine, Machine)
    assert_type(client.list(), list[Machine])
    assert_type(client.names(), list[str])
    assert_type(client.damaged(), list[Damaged])
    assert_type(client.get("web"), Machine)
    assert_type(client.observe(timeout=1, engines=False), list[Row])
    assert_type(machine.state(), str)
    for operation in (client.start, client.stop, client.kill, client.restart):
        operation(machine, timeout=1, on_event=show)
        operation("web", on_event=lambda event: print(event.text))
    for converging in (client.provision, client.upgrade, client.regenerate_certs):
        converging("web", timeout=1.5)
    client.remove("web", force=True)
    assert_type(client.connection("web"), Connection)
    assert_type(client.environment("web"), dict[str, str])
    assert_type(client.docker_client_kwargs(machine), dict[str, Any])
    assert_type(client.ssh("web"), SSHSession)
    assert_type(client.run("web", "id", sudo=True).stdout, str)
    assert_type(client.run("web", "id"), Result)


def moves(client: Client) -> None:
    requests = numbered(Request("web", "none", options={"url": "tcp://192.0.2.1:2376"}), 2)
    assert_type(client.create_many(requests, most=2, on_event=show), list[Machine])
    plan = client.plan("fleet.yaml", prune=True)
    assert_type(plan, Plan)
    client.apply(plan, replace=True, most=2, timeout=60, on_event=show)
    assert_type(client.rename("web-1", "shop", on_event=show), Machine)
    client.export(["shop", client.get("web-2")], "x", passphrase="y")
    assert_type(client.import_archive("x", passphrase="y", renamed={"shop": "s"}), list[Machine])
    assert_type(client.import_docker_machine(names=["a"], as_generic=True), list[Import])
    assert_type(client.doctor("local", "none"), list[Area])


def hosts(client: Client, machine: Machine) -> None:
    client.resize(machine, cpus=2, memory="1g", disk="20g", instance_type="t3.small", on_event=show)
    assert_type(client.clone("web", "copy", timeout=60, on_event=show), Machine)
    assert_type(client.snapshots("web"), Sequence[Snapshot])
    for keeping in (client.create_snapshot, client.restore_snapshot, client.remove_snapshot):
        keeping(machine, "before", timeout=60, on_event=show)
    assert_type(client.use(machine, way="ssh"), DockerContext)
    assert_type(client.create_context("web"), DockerContext)
    assert_type(client.unuse(), str)
    client.remove_context("web")
    assert_type(client.copy("x", "web:/x", recursive=True, quiet=True), int)
    assert_type(client.work_log("web", lines=3), Sequence[str])
    assert_type(client.engine_log(machine, follow=True), Iterator[str])


def follows(client: Client) -> Machine:
    progress = follow(client.create, "web", "none", options={"url": "tcp://192.0.2.1:2376"})
    assert_type(progress, Progress[Machine])
    for event in progress:
        show(event)
    return progress.result()


def refused(client: Client) -> None:
    client.create("web", cpus=2)  # type: ignore[call-arg]
    client.get(1)  # type: ignore[arg-type]
    follow(client.start, "web", timout=1)  # type: ignore[call-arg]
    client.use("web", way="telnet")  # type: ignore[arg-type]


def fails(client: Client) -> str:
    try:
        client.get("web")
    except MachineError as error:
        return error.hint
    return ""
