"""A user in a machine who may do everything by sudo, as cloud images have one (passwd(5), shadow(5), sudoers(5))."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pymachine.machine.errors import InvalidOption

FIRST_UID = 1000


@dataclass(frozen=True, slots=True)
class GuestUser:
    """An account; its group has the same number."""

    name: str
    uid: int
    home: str


def account_files(image_root: Path, name: str) -> tuple[GuestUser, list[tuple[str, str, int]]]:
    """The user, and the files that make the account: name, text, mode.

    An account that the image has already keeps its number, home and shell; one whose home is not in
    ``/home`` is a system account and refused with `InvalidOption`.
    """
    etc = image_root / "etc"
    passwd, group, shadow = ((etc / file).read_text() for file in ("passwd", "group", "shadow"))
    sudoers = (f"etc/sudoers.d/90-{name}", f"{name} ALL=(ALL) NOPASSWD:ALL\n", 0o440)
    for line in passwd.splitlines():
        fields = line.split(":")
        if fields[0] == name:
            if not fields[5].startswith("/home/"):
                raise InvalidOption(f"--local-ssh-user: {name} is a system account in the image")
            return GuestUser(name, int(fields[2]), fields[5]), [sudoers]
    uid = _free_number(passwd, group)
    user = GuestUser(name, uid, f"/home/{name}")
    # "*" is a password that nothing matches; "!" would make sshd refuse keys too.
    return user, [
        ("etc/passwd", f"{passwd}{name}:x:{uid}:{uid}::{user.home}:/bin/bash\n", 0o644),
        ("etc/group", f"{group}{name}:x:{uid}:\n", 0o644),
        ("etc/shadow", f"{shadow}{name}:*:19000:0:99999:7:::\n", 0o640),
        sudoers,
    ]


def _free_number(*files: str) -> int:
    used = {int(line.split(":")[2]) for text in files for line in text.splitlines() if line.count(":") >= 3}
    return next(number for number in range(FIRST_UID, 60000) if number not in used)
