"""The files of ``/etc`` that the engine writes for each container: hostname, hosts, resolv.conf."""

from __future__ import annotations

import os
import socket

from pymachine.engine.containers.model import Container
from pymachine.engine.containers.options import Options
from pymachine.engine.network.base import NetworkController, Sandbox

FILES = ("resolv.conf", "hostname", "hosts")


def hostname(container: Container) -> str:
    """The name that the container sees: as asked for, the host's in its UTS or network, or its short id."""
    if given := str(container.config.get("Hostname") or ""):
        return given
    if container.host_config.get("UTSMode") == "host" or container.network_mode == "host":
        return socket.gethostname()
    return container.id[:12]


def write(
    folder: str,
    container: Container,
    sandbox: Sandbox,
    network: NetworkController,
    options: Options,
    peers: list[str],
) -> None:
    """Write the three files for a start into the container's directory. *peers*: links' ``name:address``."""
    host = container.host_config
    name = hostname(container)
    texts = {
        "hostname": f"{name}\n",
        "hosts": network.hosts(
            sandbox, name, str(container.config.get("Domainname") or ""), [*(host.get("ExtraHosts") or ()), *peers]
        ),
        "resolv.conf": network.resolv_conf(
            sandbox,
            list(host.get("Dns") or options.dns),
            list(host.get("DnsSearch") or options.dns_search),
            list(host.get("DnsOptions") or options.dns_options),
        ),
    }
    for file, text in texts.items():
        # Rewritten in place: a bind mount of an earlier run holds on to the inode.
        descriptor = os.open(f"{folder}/{file}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)
