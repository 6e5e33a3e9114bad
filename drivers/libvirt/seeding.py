"""Give a machine its data for cloud-init without a disk: SMBIOS tells an address, and this process answers there until
the machine has it.

The data, which has the machine's private host key, is served on the machine's own network only, under a name that
cannot be guessed, and is in the machine's directory until it is fetched. Source: cloudinit.readthedocs.io, datasource
NoCloud, "DMI". A guest that is given data in this way looks for them at every boot, unless there are some in its own
``/var/lib/cloud/seed``: so the data tell it to write its identity there (`seed.IDENTITY_FILE`).
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

from pymachine.drivers.libvirt import networks
from pymachine.drivers.libvirt.options import Nic
from pymachine.drivers.local import jsonfile
from pymachine.machine.errors import DeadlineExceeded, DriverError

FILE = "seed.json"
USER_NET_HOST = "10.0.2.2"
"""How a guest on QEMU's own network sees the loopback of its host (qemu(1), ``-netdev user``)."""
LOOPBACK = "127.0.0.1"
NEEDED = "user-data"
PAUSE = 0.2


def keep(directory: Path, contents: Mapping[str, str]) -> None:
    """Note what is to be served, until it is fetched."""
    jsonfile.write(directory / FILE, dict(contents), mode=0o600)


def kept(directory: Path) -> dict[str, str]:
    """What is still to be served; empty when the machine has it."""
    return jsonfile.read(directory / FILE)


def forget(directory: Path) -> None:
    """The machine has it."""
    (directory / FILE).unlink(missing_ok=True)


def new_url(connection: Any, nic: Nic) -> str:
    """Where the machine will ask: an address of this computer on the network of its card, and a port that is free."""
    address = _address(connection, nic)
    with socket.socket() as end:
        end.bind((LOOPBACK if address == USER_NET_HOST else address, 0))
        port = end.getsockname()[1]
    return f"http://{address}:{port}/{secrets.token_urlsafe(24)}/"


def _address(connection: Any, nic: Nic) -> str:
    if nic.kind == "user":
        return USER_NET_HOST
    if nic.kind == "network":
        network = networks.find(connection, nic.source)
        found = [str(own.ip) for own in networks.addresses(network.XMLDesc())] if network is not None else []
    else:
        from pymachine.drivers.local import host

        listed = host.run(["ip", "-json", "-4", "address", "show", "dev", nic.source]).stdout
        found = [own["local"] for device in json.loads(listed or "[]") for own in device.get("addr_info", ())]
    if not found:
        raise DriverError(
            f'--libvirt-seed: this computer has no address on "{nic.source}" at which the machine could ask',
            hint="use the seed disk (--libvirt-seed disk)",
        )
    return found[0]


def url_of(domain_xml: str) -> str:
    """Where a domain asks; empty for those with a seed disk."""
    entry = ElementTree.fromstring(domain_xml).find("sysinfo/system/entry[@name='serial']")
    return (entry.text or "").partition(";s=")[2] if entry is not None else ""


class Served:
    """What was asked for so far."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._fetched = threading.Event()

    def note(self, name: str) -> None:
        """A file was given away."""
        if name == NEEDED:
            self._fetched.set()

    def wait(self, deadline: float, console: Callable[[], str]) -> None:
        """Return when the machine has what it needs. Raises `DeadlineExceeded`."""
        started = time.monotonic()
        while not self._fetched.wait(PAUSE):
            if time.monotonic() > deadline:
                raise DeadlineExceeded(
                    "waiting for the machine to fetch its data",
                    time.monotonic() - started,
                    last_error=f"nothing asked {urlsplit(self.url).netloc}; does a firewall keep the machine from it?",
                    look_at=console(),
                )


@contextlib.contextmanager
def served(url: str, contents: Mapping[str, str]) -> Iterator[Served]:
    """Answer at *url* while the block runs."""
    import http.server  # takes longer than all else that a command without it does

    parts, state = urlsplit(url), Served(url)
    address = LOOPBACK if parts.hostname == USER_NET_HOST else str(parts.hostname)
    given = {f"{parts.path}{name}": (name, text.encode()) for name, text in {**contents, "vendor-data": ""}.items()}

    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = 30

        def do_GET(self) -> None:
            name, data = given.get(self.path, ("", b""))
            if not name:
                self.send_error(http.HTTPStatus.NOT_FOUND)
                return
            self.send_response(http.HTTPStatus.OK)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            state.note(name)

        def log_message(self, format: str, *args: object) -> None:
            return None

    try:
        server = http.server.ThreadingHTTPServer((address, int(parts.port or 0)), Handler)
    except OSError as error:
        raise DriverError(
            f"cannot give the machine its data at {address} port {parts.port}: {error.strerror}",
            hint="remove the machine and create it again, or end what uses the port",
        ) from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(PAUSE,), daemon=True, name="seed")
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
