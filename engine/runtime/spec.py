"""What the runtime is asked to run: plain data, one JSON document a container.

The container service builds a `ContainerSpec`; the shim reads it and makes it so. Nothing here does
anything. Shapes follow the OCI runtime specification 1.1 where it has them, without its platform layers.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin, get_type_hints


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount inside the container, made in order, after the root and before ``pivot_root``."""

    destination: str
    """Absolute path inside the container; created when missing. Links in it are resolved inside the root."""
    type: str
    """``bind``, ``proc``, ``sysfs``, ``tmpfs``, ``devpts``, ``mqueue``, ``cgroup``."""
    source: str
    options: tuple[str, ...] = ()
    """As for mount(8): ``ro``, ``nosuid``, ``rbind``, ``rprivate``, ``mode=755``, ``size=64m``…"""


@dataclass(frozen=True, slots=True)
class Rlimit:
    """One resource limit; ``name`` as in ``RLIMIT_NOFILE`` without the prefix, lower case: ``nofile``."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class Process:
    """A process in the container: its first one, or one that exec adds."""

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    """``NAME=value`` entries; the first decides."""
    cwd: str = "/"
    """Created when missing, for the first process (as Docker does)."""
    user: str = ""
    """``user``, ``uid``, ``user:group``…, looked up in the container's own passwd and group files."""
    additional_groups: tuple[str, ...] = ()
    tty: bool = False
    console_size: tuple[int, int] = (0, 0)
    """Rows and columns at the start; (0, 0) when not known."""
    capabilities: tuple[str, ...] = ()
    """Names with the ``CAP_`` prefix: the bounding set; a non-root user has none of them effective."""
    no_new_privileges: bool = False
    seccomp: str = "default"
    """``default``, ``unconfined``, or a profile in Docker's JSON format."""
    rlimits: tuple[Rlimit, ...] = ()
    oom_score_adj: int | None = None
    """-1000…1000."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Limits, in the Engine API's units; 0 or empty means none."""

    memory: int = 0
    """Bytes."""
    memory_swap: int = 0
    """Bytes of memory and swap together; -1 for unlimited swap."""
    memory_reservation: int = 0
    memory_swappiness: int | None = None
    oom_kill_disable: bool = False
    cpu_shares: int = 0
    cpu_period: int = 0
    """Microseconds."""
    cpu_quota: int = 0
    """Microseconds of CPU time in each period; -1 for no limit."""
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids_limit: int = 0
    """-1 for no limit."""
    blkio_weight: int = 0
    block_devices: tuple[tuple[str, str, int], ...] = ()
    """For single devices: ``weight``, ``read_bps``, ``write_bps``, ``read_iops`` or ``write_iops``, the device's
    ``major:minor``, and the weight (10…1000) or what may pass in a second (bytes or operations)."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device node that the container has, and what it may do with it."""

    path_on_host: str
    path_in_container: str
    permissions: str = "rwm"


@dataclass(frozen=True, slots=True)
class Namespaces:
    """For each kind: ``private`` (a new one), ``host``, or ``/proc/PID/ns/KIND`` of a container to join."""

    pid: str = "private"
    net: str = "private"
    ipc: str = "private"
    uts: str = "private"
    cgroup: str = "private"


@dataclass(frozen=True, slots=True)
class Rootfs:
    """How the root file system comes to be, mounted in the container's own mount namespace only.

    ``overlay``: *lower* (top layer first), *upper* and *work* are directories. ``bind``: *source* is one.
    """

    type: Literal["overlay", "bind"]
    lower: tuple[str, ...] = ()
    upper: str = ""
    work: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class LogSpec:
    """Where the shim writes what the container says.

    ``local``: our own framed blocks (see ``engine/runtime/logfile.py``); ``json-file``: Docker's format;
    ``none``: nothing. Rotated at *max_size* bytes, keeping *max_files* files; 0 means never.
    """

    driver: Literal["local", "json-file", "none"] = "local"
    path: str = ""
    max_size: int = 20 * 2**20
    max_files: int = 5


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """A whole container."""

    id: str
    """64 hexadecimal digits."""
    bundle: str
    """The container's run-time directory (mode 0700): spec, shim socket, pid and exit status live there."""
    rootfs: Rootfs
    process: Process
    hostname: str = ""
    domainname: str = ""
    read_only: bool = False
    mounts: tuple[Mount, ...] = ()
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    all_devices: bool = False
    """Every device of the host, allowed (privileged containers)."""
    namespaces: Namespaces = field(default_factory=Namespaces)
    resources: Resources = field(default_factory=Resources)
    cgroup: str = ""
    """Path below each hierarchy's root, without a leading slash: ``pyengine/<id>``."""
    sysctls: tuple[tuple[str, str], ...] = ()
    init: bool = False
    """Run a small init as process 1 that reaps and forwards signals (``--init``)."""
    log: LogSpec = field(default_factory=LogSpec)
    open_stdin: bool = False
    """Keep a standard input open for clients to attach to (``-i``)."""
    stdin_once: bool = False
    """Close standard input when the first attached client goes."""


def to_json(spec: ContainerSpec | Process) -> str:
    """*spec* as one JSON document."""
    return json.dumps(dataclasses.asdict(spec), separators=(",", ":"))


def container_from_json(text: str | bytes) -> ContainerSpec:
    """The `ContainerSpec` that `to_json` wrote; raises `ValueError` for anything else."""
    return _build(ContainerSpec, json.loads(text))  # type: ignore[no-any-return]


def process_from_json(text: str | bytes) -> Process:
    """The `Process` that `to_json` wrote; raises `ValueError` for anything else."""
    return _build(Process, json.loads(text))  # type: ignore[no-any-return]


def _build(kind: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, dict):
            raise ValueError(f"{kind.__name__}: expected an object")
        hints = get_type_hints(kind)
        unknown = value.keys() - hints.keys()
        if unknown:
            raise ValueError(f"{kind.__name__}: unknown field {min(unknown)}")
        return kind(**{name: _build(hints[name], item) for name, item in value.items()})
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        each = [inner[0]] * len(value) if len(inner) == 2 and inner[1] is Ellipsis else list(inner)
        return tuple(_build(kind, item) for kind, item in zip(each, value, strict=True))
    return value
