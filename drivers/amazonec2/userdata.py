"""What cloud-init on the instance is given: the machine's name, key and user, and what the user adds.

The bytes are the same for the same machine, for EC2 compares them when a launch is repeated.
"""

from __future__ import annotations

import json

from pymachine.drivers.userdata import merged, power_off_at, read_extra
from pymachine.machine.errors import InvalidOption

MOST_BYTES = 16384
"""EC2 takes no more (RunInstances, UserData)."""


def user_data(*, name: str, public_key: str, make_user: str, extra_path: str, expires_at: str = "") -> str:
    """Our cloud-config, merged with the user's file. *make_user* is made with sudo rights, unless empty. With an empty
    *public_key* no key may log in for good. At *expires_at*, unless empty, the host turns itself off.

    Raises `InvalidOption` for a file that cannot be used.
    """
    keys = {"ssh_authorized_keys": [public_key]} if public_key else {}
    ours: dict[str, object] = {"hostname": name, "preserve_hostname": False, **keys}
    if make_user:
        ours["users"] = [
            "default",
            {
                "name": make_user,
                "gecos": "pymachine",
                "shell": "/bin/bash",
                "lock_passwd": True,
                "sudo": "ALL=(ALL) NOPASSWD:ALL",
                **keys,
            },
        ]
    if expires_at:
        ours |= power_off_at(expires_at)
    extra = read_extra(extra_path, "--amazonec2-userdata")
    text = f"#cloud-config\n{json.dumps(ours, indent=1)}\n"  # JSON is YAML
    text = merged(text, extra) if extra else text
    if len(text.encode()) > MOST_BYTES:
        raise InvalidOption(f"--amazonec2-userdata: with ours it is more than {MOST_BYTES} bytes")
    return text
