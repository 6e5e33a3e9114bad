"""What cloud-init reads at the first boot: the NoCloud files, and the CD image they are on.

Source: cloudinit.readthedocs.io, datasource NoCloud: a file system labelled ``cidata``.
"""

from __future__ import annotations

import io
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from pymachine.drivers.libvirt.connection import EXTRA
from pymachine.drivers.libvirt.options import Nic
from pymachine.drivers.libvirt.templating import cloud_config
from pymachine.drivers.userdata import merged
from pymachine.machine.errors import MissingRequirement

LABEL = "cidata"


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


def files(identity: Identity) -> dict[str, str]:
    """The three files by name."""
    meta_data = cloud_config("meta-data", instance_id=identity.machine_id, hostname=identity.hostname)
    ours = cloud_config(
        "user-data",
        hostname=identity.hostname,
        user=identity.user,
        authorized_key=identity.authorized_key.strip(),
        host_private_key=identity.host_private_key,
        host_public_key=identity.host_public_key,
        clone=identity.clone,
        mounts=[list(mount) for mount in identity.mounts],
        files={identity.stays_at: meta_data} if identity.stays_at else {},
    )
    return {
        "user-data": merged(ours, identity.extra) if identity.extra else ours,
        "meta-data": meta_data,
        "network-config": cloud_config("network-config", nics=[_network(nic) for nic in identity.nics]),
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
