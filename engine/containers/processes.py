"""``docker top``: the processes of a container, as ps(1) would show them, read from /proc.

No ps is run: the host may have none, and one that runs inside would have to be trusted. Source: proc(5).
"""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Callable
from dataclasses import dataclass

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.engine.containers.usage import cgroup_folder

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Entry:
    """One process."""

    pid: int
    ppid: int
    uid: int
    state: str
    name: str
    command: str
    cpu: float
    """Seconds of CPU time."""
    began: float
    """Seconds since the epoch."""
    resident: int
    virtual: int
    """Bytes."""
    terminal: str
    niceness: int


def entries(pid: int) -> list[Entry]:
    """Every process in the control group of *pid*, in order; those that end meanwhile are left out."""
    found = (_read(member) for member in members(pid))
    return sorted((entry for entry in found if entry is not None), key=lambda entry: (entry.began, entry.pid))


def members(pid: int) -> list[int]:
    """The pids in the control group of *pid* and below it."""
    folder = cgroup_folder(pid, "pids")
    if folder is None:
        return [pid]
    found: list[int] = []
    for path, _, files in os.walk(folder):
        if "cgroup.procs" in files:
            try:
                with open(f"{path}/cgroup.procs") as file:
                    found += [int(line) for line in file]
            except OSError:
                continue
    return found or [pid]


def _read(pid: int) -> Entry | None:
    try:
        with open(f"/proc/{pid}/stat", errors="replace") as file:
            head, _, tail = file.read().rpartition(") ")
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            command = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
        uid = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None
    name, fields = head.partition(" (")[2], tail.split()
    return Entry(
        pid, int(fields[1]), uid, fields[0], name, command or f"[{name}]",
        (int(fields[11]) + int(fields[12])) / _TICK, _boot_time() + int(fields[19]) / _TICK,
        int(fields[21]) * _PAGE, int(fields[20]), _terminal(int(fields[4])), int(fields[16]),
    )  # fmt: skip


def _boot_time() -> float:
    with open("/proc/stat") as file:
        return next(float(line.split()[1]) for line in file if line.startswith("btime"))


def _terminal(number: int) -> str:
    return "?" if number == 0 else f"pts/{os.minor(number)}" if os.major(number) == 136 else "tty"


def _user(entry: Entry) -> str:
    try:
        return pwd.getpwuid(entry.uid).pw_name
    except KeyError:
        return str(entry.uid)


def _clock(entry: Entry) -> str:
    return f"{int(entry.cpu) // 3600:02d}:{int(entry.cpu) // 60 % 60:02d}:{int(entry.cpu) % 60:02d}"


def _share(entry: Entry) -> float:
    return 100 * entry.cpu / max(time.time() - entry.began, 0.01)


def _began(entry: Entry) -> str:
    moment = time.localtime(entry.began)
    return time.strftime("%H:%M" if time.time() - entry.began < 86400 else "%b%d", moment)


def _memory_share(entry: Entry) -> str:
    return f"{100 * entry.resident / (os.sysconf('SC_PHYS_PAGES') * _PAGE):.1f}"


_COLUMNS: dict[str, tuple[str, Callable[[Entry], str]]] = {
    "uid": ("UID", _user), "user": ("USER", _user), "euser": ("EUSER", _user), "pid": ("PID", lambda e: str(e.pid)),
    "ppid": ("PPID", lambda e: str(e.ppid)), "c": ("C", lambda e: str(int(_share(e)))), "stime": ("STIME", _began),
    "start": ("START", _began), "tty": ("TTY", lambda e: e.terminal), "tname": ("TTY", lambda e: e.terminal),
    "time": ("TIME", _clock), "cmd": ("CMD", lambda e: e.command), "args": ("COMMAND", lambda e: e.command),
    "command": ("COMMAND", lambda e: e.command), "comm": ("COMMAND", lambda e: e.name),
    "%cpu": ("%CPU", lambda e: f"{_share(e):.1f}"), "pcpu": ("%CPU", lambda e: f"{_share(e):.1f}"),
    "%mem": ("%MEM", _memory_share), "pmem": ("%MEM", _memory_share), "vsz": ("VSZ", lambda e: str(e.virtual // 1024)),
    "rss": ("RSS", lambda e: str(e.resident // 1024)), "stat": ("STAT", lambda e: e.state),
    "s": ("S", lambda e: e.state), "state": ("S", lambda e: e.state), "ni": ("NI", lambda e: str(e.niceness)),
    "nice": ("NI", lambda e: str(e.niceness)),
    "etimes": ("ELAPSED", lambda e: str(int(time.time() - e.began))),
}  # fmt: skip
_FORMATS = {
    "-ef": "uid pid ppid c stime tty time cmd",
    "-e": "pid tty time comm",
    "": "uid pid ppid c stime tty time cmd",
    "aux": "user pid %cpu %mem vsz rss tty stat start time command",
}


def columns(arguments: str) -> list[str]:
    """The columns that ps(1) *arguments* ask for; raises `InvalidArgument` for what is not understood."""
    text = arguments.strip()
    known = _FORMATS.get(text) or _FORMATS.get(text.removeprefix("-"))
    if known is not None:
        return known.split()
    chosen, words = [], text.replace("-eo", "-o ").replace("-o", "-o ").split()
    while words:
        word = words.pop(0)
        if word == "-o" and words:
            chosen += words.pop(0).split(",")
        elif word not in ("-e", "-A", "-ef"):
            raise InvalidArgument(f"ps option {word!r} is not supported by this engine (use -ef, aux, or -o COLUMNS)")
    if unknown := [name for name in chosen if name.lower() not in _COLUMNS]:
        raise InvalidArgument(f"ps column {unknown[0]!r} is not known")
    return [name.lower() for name in chosen] or _FORMATS["-ef"].split()


def table(pid: int, arguments: str) -> dict[str, list[str] | list[list[str]]]:
    """``GET /containers/{id}/top``. Blocks."""
    chosen = columns(arguments)
    rows = [[_COLUMNS[name][1](entry) for name in chosen] for entry in entries(pid)]
    return {"Titles": [_COLUMNS[name][0] for name in chosen], "Processes": rows}
