"""What cloud-init reads at the first boot: the NoCloud files, and the CD image they are on.

Source: cloudinit.readthedocs.io, datasource NoCloud: a file system labelled ``cidata``.
"""

from __future__ import annotations

import io
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pymachine.drivers.base import Context
from pymachine.drivers.libvirt import domains, identity
from pymachine.drivers.libvirt.connection import EXTRA
from pymachine.drivers.libvirt.options import Nic, Options
from pymachine.drivers.libvirt.templating import cloud_config
from pymachine.drivers.userdata import merged, read_extra
from pymachine.machine.errors import MissingRequirement

LABEL = "cidata"
IDENTITY_FILE = "/var/lib/cloud/seed/nocloud-net/meta-data"
"""Where cloud-init looks at each boot for which machine it is, before it asks anybody."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a machine is."""

    machine_id: str
    hostname: str
    user: str
    authorized_key: str
    host_private_key: str
    host_public_key: str
    nics: Sequence[Nic]
    """With their ``mac``."""
    mounts: Sequence[Sequence[str]]
    """Lines of fstab, as lists."""
    extra: str = ""
    """The user's own cloud-init data."""
    clone: bool = False
    """Whether the disk is a copy of another machine's, whose machine-id must not be kept (machine-id(5))."""
    stays_at: str = ""
    """A file of the machine in which its identity stays, for data that can be had only once."""


def prepare(context: Context, options: Options, nics: Sequence[Nic]) -> Identity:
    """A machine's identity, with its keys: made here, so they are known before the first contact."""
    from pymachine.machine.ssh.keys import ensure_key

    private, public = identity.new_host_key(context.name)
    identity.keep_host_key(context.directory, public)
    return Identity(
        context.machine_id,
        context.name,
        options.ssh_user,
        ensure_key(context.directory / "id_ed25519"),
        private,
        public,
        # A kept address comes by DHCP.
        [replace(nic, address="") if nic.kind == "network" else nic for nic in nics],
        list(domains.mounts(options)),
        read_extra(options.cloud_init, "--libvirt-cloud-init"),
        clone=bool(context.resources.get("clone_of")),
        stays_at=IDENTITY_FILE if options.seed == "smbios" else "",
    )


def files(who: Identity) -> dict[str, str]:
    """The three files by name."""
    meta_data = cloud_config("meta-data", instance_id=who.machine_id, hostname=who.hostname)
    ours = cloud_config(
        "user-data",
        hostname=who.hostname,
        user=who.user,
        authorized_key=who.authorized_key.strip(),
        host_private_key=who.host_private_key,
        host_public_key=who.host_public_key,
        clone=who.clone,
        mounts=[list(mount) for mount in who.mounts],
        files={who.stays_at: meta_data} if who.stays_at else {},
    )
    return {
        "user-data": merged(ours, who.extra) if who.extra else ours,
        "meta-data": meta_data,
        "network-config": cloud_config("network-config", nics=[_network(nic) for nic in who.nics]),
    }


def _network(nic: Nic) -> dict[str, object]:
    version = ipaddress.ip_interface(nic.address).version if nic.address else 4
    return {
        "mac": nic.mac,
        "address": nic.address,
        "gateway": nic.gateway,
        "dns": list(nic.dns),
        "default_route": "::/0" if version == 6 else "0.0.0.0/0",
    }


def iso(contents: dict[str, str]) -> bytes:
    """A CD image with the files at its top, by Joliet and Rock Ridge names."""
    try:
        import pycdlib
    except ImportError as error:
        raise MissingRequirement(f"the libvirt driver needs pycdlib: {error}", hint=EXTRA) from error
    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=LABEL)
    for number, (name, text) in enumerate(contents.items()):
        data = text.encode()
        image.add_fp(io.BytesIO(data), len(data), f"/FILE{number}.;1", rr_name=name, joliet_path=f"/{name}")
    written = io.BytesIO()
    image.write_fp(written)
    image.close()
    return written.getvalue()
