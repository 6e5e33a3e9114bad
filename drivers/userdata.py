"""Cloud-init user data of ours and of the user's, as one. Source: cloudinit.readthedocs.io, "User data formats"."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path, PurePosixPath
from typing import Any

from pymachine.machine.errors import InvalidOption

KINDS = {
    "#cloud-config": "cloud-config",
    "#!": "x-shellscript",
    "#include": "x-include-url",
    "#cloud-boothook": "cloud-boothook",
    "## template: jinja": "jinja2",
}
"""First lines of user data and their MIME subtypes."""
MERGE = "list(append)+dict(no_replace,recurse_list)+str()"
"""The user's lists are added to ours; where both set a value, ours stands."""


EXPIRY = "/etc/systemd/system/pymachine-expiry"
"""The units that turn a host off, less their suffixes."""
STAMP = PurePosixPath("/var/lib/systemd/timers/stamp-pymachine-expiry.timer")
"""Its age says when the timer last ran. Where there is none systemd takes it that it has just run, and a host whose
first boot takes longer than its time would never end."""


def power_off_at(moment: str) -> dict[str, Any]:
    """The cloud-config that makes a host turn itself off at *moment* (RFC 3339), or at its next start when it is off
    then, whoever is there to see to it. Source: systemd.timer(5)."""
    at = datetime.fromisoformat(moment).astimezone(UTC)
    service = (
        "[Unit]\nDescription=Turn this machine off: its time is over\n\n"
        "[Service]\nType=oneshot\nExecStart=systemctl --no-block poweroff\n"
    )
    timer = (
        "[Unit]\nDescription=The end of this machine's time\n\n"
        f"[Timer]\nOnCalendar={at:%Y-%m-%d %H:%M:%S} UTC\nPersistent=true\nAccuracySec=1s\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )
    files = {f"{EXPIRY}.service": service, f"{EXPIRY}.timer": timer}
    return {
        "write_files": [{"path": path, "content": content} for path, content in files.items()],
        "runcmd": [
            ["sh", "-c", f"mkdir -p {STAMP.parent} && touch -d @1 {STAMP} && systemctl daemon-reload"],
            ["systemctl", "enable", "--now", "pymachine-expiry.timer"],
        ],
    }


def read_extra(path: str, flag: str) -> str:
    """The user's file, named by *flag*; empty when there is none. Raises `InvalidOption`."""
    if not path:
        return ""
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidOption(f"{flag}: cannot read {path}: {error}") from None
    if not text.startswith(tuple(KINDS)):
        raise InvalidOption(f"{flag}: {path} does not start with #cloud-config or #!")
    return text


def merged(ours: str, extra: str) -> str:
    """Both, of known kinds, as one MIME message, which cloud-init merges in order; same texts, same bytes."""
    boundary = hashlib.sha256(f"{len(ours)} {ours}{extra}".encode()).hexdigest()
    whole = MIMEMultipart(boundary=boundary)
    for text in (ours, extra):
        subtype = next(subtype for start, subtype in KINDS.items() if text.startswith(start))
        part: Message = MIMEText(text, subtype, "utf-8")
        part["Merge-Type"] = MERGE
        whole.attach(part)
    return whole.as_string()
