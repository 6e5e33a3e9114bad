"""A store's timer of systemd: it removes machines when their time is over, also after a reboot, or at the next start of
a computer that was off at that moment, and whatever became of the session in which they were made.

A timer has the moments of all machines of the store that expire, and its service, which also starts with the computer,
removes what is over. Both are files, so that they survive; they go with the store's last such machine. Root's are the
system's own; another user's are of their own manager, which runs while they are logged in, or all the time when they
linger (loginctl(1)). Sources: systemd.timer(5), systemd.service(5), systemd.syntax(7), sd_booted(3).

Plain strings instead of templates: every command that opens a store with such machines looks whether all is in place.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pymachine.machine.errors import MachineError
from pymachine.machine.lifetime.duration import parse_moment
from pymachine.store.atomic import replace_file
from pymachine.store.base import Store

SWITCH = "PYMACHINE_EXPIRY_TIMER"
"""The variable that, when it is ``no``, keeps this from the computer's units."""
INHERITED = (
    *("PATH", "HOME", "USER", "PYTHONPATH", "DOCKER_CONFIG", "MACHINE_DOCKER_CONTEXT"),
    *("PYMACHINE_LOCAL_ROOT", "PYMACHINE_IMAGE_ROOT", "LIBVIRT_DEFAULT_URI"),
    *("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE"),
    *("AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE"),
)
"""Variables that a removal may need. None is a secret: everybody may read units."""
SECRET = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE")
"""Variables that a removal may need and no unit may have."""
SECONDS = 60.0
"""That systemctl may take."""


@dataclass(frozen=True, slots=True)
class Manager:
    """The systemd that runs the units."""

    directory: Path
    """Of its units."""
    command: tuple[str, ...]
    target: str
    """What it starts with."""
    lingers: bool
    """Whether it runs when nobody is logged in."""

    def run(self, *args: str) -> None:
        """systemctl; raises `MachineError` with its last line."""
        try:
            done = subprocess.run(
                [*self.command, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise MachineError(f"systemctl {args[0]}: {error}") from error
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            raise MachineError(f"systemctl {args[0]}: {lines[-1]}")


def manager(environ: Mapping[str, str]) -> Manager | None:
    """This user's; ``None`` where there is none."""
    if sys.platform == "win32" or environ.get(SWITCH) == "no" or not Path("/run/systemd/system").is_dir():
        return None
    if os.geteuid() == 0:
        return Manager(Path("/etc/systemd/system"), ("systemctl",), "multi-user.target", lingers=True)
    if not Path(environ.get("XDG_RUNTIME_DIR") or "/nonexistent", "systemd", "private").exists():
        return None
    config = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    lingers = Path("/var/lib/systemd/linger", environ.get("USER") or "-").exists()
    return Manager(Path(config, "systemd", "user"), ("systemctl", "--user"), "default.target", lingers)


def unit(location: str) -> str:
    """The units' name, without its suffix: one for a store's place, since a copied store has the original's id."""
    return f"pymachine-expiry-{hashlib.sha256(os.path.realpath(location).encode()).hexdigest()[:16]}"


def keep(store: Store, environ: Mapping[str, str]) -> bool:
    """Bring the store's timer up to date: new moments in, or all gone with the last machine that expires. Returns
    whether the timer sees to the removals. Raises `MachineError`, and nothing is left then."""
    found = manager(environ)
    if found is None or not store.location or "\n" in store.location:
        return False
    timer, service = (found.directory / f"{unit(store.location)}.{suffix}" for suffix in ("timer", "service"))
    moments = store.expiring()
    if not moments and not timer.exists() and not service.exists():
        return False
    if moments and _holds(timer, moments.values()) and service.exists():
        return True
    with store.lock() if os.path.isdir(store.location) else contextlib.nullcontext():
        moments = store.expiring()
        try:
            if moments:
                _write(found, store.location, environ, timer, service, moments.values())
                return True
        except (MachineError, OSError) as error:
            with contextlib.suppress(MachineError, OSError):
                _drop(found, timer, service)
            raise MachineError(f"there is no timer for machines that expire: {error}") from error
        _drop(found, timer, service)
        return False


def in_place(store: Store, environ: Mapping[str, str]) -> Manager | None:
    """What runs the store's timer, if that is up to date."""
    found = manager(environ)
    if found and _holds(found.directory / f"{unit(store.location)}.timer", store.expiring().values()):
        return found
    return None


def needs_this_environment(environ: Mapping[str, str]) -> bool:
    """Whether there is something that a removal may need and that the timer cannot have."""
    return any(environ.get(name) for name in SECRET)


def _holds(timer: Path, moments: Iterable[str]) -> bool:
    """Whether the timer is for these moments; more do no harm."""
    try:
        lines = timer.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return set(_calendar(moments)) <= set(lines)


def _calendar(moments: Iterable[str]) -> list[str]:
    """What cannot be read is looked at when the service starts for another one, or with the computer."""
    lines = set()
    for moment in moments:
        with contextlib.suppress(ValueError):
            lines.add(f"OnCalendar={_utc(moment)}")
    return sorted(lines)


def _utc(moment: str) -> str:
    from datetime import UTC

    return f"{parse_moment(moment).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _write(
    found: Manager, location: str, environ: Mapping[str, str], timer: Path, service: Path, moments: Iterable[str]
) -> None:
    found.directory.mkdir(parents=True, exist_ok=True)
    replace_file(service, service_text(location, environ, found.target).encode(), mode=0o644)
    replace_file(timer, timer_text(location, moments).encode(), mode=0o644)
    found.run("daemon-reload")
    found.run("--quiet", "enable", service.name, timer.name)
    found.run("restart", timer.name)


def _drop(found: Manager, timer: Path, service: Path) -> None:
    """Remove the units, and what systemd keeps of the timer's last run. The service is not stopped: this may be it."""
    for args in (
        ("--quiet", "disable", "--now", timer.name),
        ("--quiet", "disable", service.name),
        ("clean", "--what=state", timer.name),
    ):
        with contextlib.suppress(MachineError):  # it may be there in part only
            found.run(*args)
    for path in (timer, service):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    found.run("daemon-reload")


def service_text(location: str, environ: Mapping[str, str], target: str) -> str:
    """The service's unit file."""
    argv = [sys.executable, "-P", "-m", "pymachine.machine.lifetime.watcher", location, "--due"]
    command = " ".join(_word(word).replace("$", "$$") for word in argv)
    given = [_word(f"{name}={environ[name]}") for name in INHERITED if environ.get(name)]
    variables = "".join(f"Environment={word}\n" for word in given)
    return (
        "[Unit]\n"
        f"Description=Remove machines of {_plain(location)} whose time is over\n"
        f"RequiresMountsFor={_word(location)}\n"
        "Wants=network-online.target\n"
        "After=network-online.target\n"
        "\n"
        "[Service]\n"
        f"ExecStart={command}\n"
        f"{variables}"
        "\n"
        "[Install]\n"
        f"WantedBy={target}\n"
    )


def timer_text(location: str, moments: Iterable[str]) -> str:
    """The timer's unit file. It is told of moments that passed while the computer was off (``Persistent``)."""
    lines = "".join(f"{line}\n" for line in _calendar(moments))
    return (
        "[Unit]\n"
        f"Description=Machines of {_plain(location)} that are to be removed by themselves\n"
        "\n"
        "[Timer]\n"
        f"{lines}"
        "Persistent=true\n"
        "AccuracySec=1s\n"
        "\n"
        "[Install]\n"
        "WantedBy=timers.target\n"
    )


def _word(text: str) -> str:
    """Quoted, with nothing in it that systemd would expand."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    return f'"{escaped}"'


def _plain(text: str) -> str:
    return text.replace("%", "%%").replace("\\", "\\\\")
