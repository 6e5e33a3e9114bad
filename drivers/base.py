"""The driver contract: make a host, and start, stop, find and remove it.

A driver is a subclass of `Driver` with a ``name`` and an ``Options`` dataclass, named in the entry point
group ``pymachine.drivers``. It knows nothing of provisioning, certificates, the engine or the command line.

Rules, checked for every driver by `pymachine.drivers.testing`:

* ``create`` records each outside resource in the journal before or as it comes to exist, so that ``remove``
  works from any crash point; removing twice is fine.
* A second ``create`` with the same record goes on where the first stopped.
* A machine may be renamed, so nothing outside is found by the machine's name: by its id, or by what is on record.
* No call hangs: every wait has a deadline, and on expiry raises `DeadlineExceeded` with the stage, the last
  error, and the end of the console log where there is one.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from pymachine.store.base import Journal

if TYPE_CHECKING:
    from pymachine.machine.ssh.base import SSHEndpoint


class State(enum.StrEnum):
    """A machine's state; docker-machine's names."""

    NONE = ""
    RUNNING = "Running"
    PAUSED = "Paused"
    SAVED = "Saved"
    STOPPED = "Stopped"
    STOPPING = "Stopping"
    STARTING = "Starting"
    ERROR = "Error"
    TIMEOUT = "Timeout"


@dataclass(frozen=True, slots=True)
class Features:
    """What a driver can do; callers read this instead of comparing names."""

    provisions: bool = True
    """Hosts are provisioned over SSH after create (``none`` has no host to provision)."""
    lifecycle: bool = True
    """start, stop and kill do something."""
    reboots: bool = False
    """restart works though start, stop and kill do not."""


@dataclass(frozen=True, slots=True)
class Adoption:
    """How a host is to be treated that was there before the machine, and is not the driver's."""

    keep_hostname: bool = False
    takeover: bool = False
    """Whether the host may be taken away from another client whose machine it is."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that `Driver.doctor` looked at."""

    level: Literal["ok", "warning", "problem"]
    """A *problem* keeps machines from being made."""
    text: str
    remedy: str = ""
    """What to do about it; to be pasted, where it is a command."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A machine as it was seen among many."""

    state: State
    url: str = ""
    """The engine's URL when it runs."""
    problem: str = ""
    """What is to be known of it, in a few words."""


@dataclass(frozen=True, slots=True)
class Belonging:
    """One thing outside that was made for a machine."""

    kind: str
    """In words: ``instance``, ``security group``."""
    id: str
    machine_id: str
    machine_name: str
    store_id: str


@dataclass(slots=True)
class Context:
    """What a driver is given of the machine it serves."""

    machine_id: str
    name: str
    store_id: str
    directory: Path
    """The machine's private directory in the store (0700): SSH keys live here."""
    resources: dict[str, Any]
    """The record's ``resources``: the driver reads and changes it, then calls `save`."""
    save: Callable[[], None]
    """Write ``resources`` to the store now, durably."""
    journal: Journal
    report: Callable[[str], None]
    """Tell the user of progress: one short line."""
    timeout: float = 300.0
    """Seconds that one call may wait in all."""
    expires_at: str = ""
    """When the machine is to be removed by itself (RFC 3339, UTC); empty: never. This computer sees to it when it runs
    then; a driver whose host can go by itself makes it so in `Driver.create`, for the case that it does not."""


class Driver(ABC):
    """A host of one kind. Built anew for each operation; all calls block."""

    name: ClassVar[str]
    description: ClassVar[str]
    """One line for help and docs."""
    Options: ClassVar[type]
    """A frozen dataclass whose fields are made by `pymachine.drivers.options.option`. Its method ``problems``, if it
    has one, lists all that is wrong with the values in themselves; create asks it before it does or says anything."""
    features: ClassVar[Features] = Features()

    @property
    def adoption(self) -> Adoption | None:
        """``None``: the host was made by the driver, for this machine alone."""
        return None

    def __init__(self, options: Any, context: Context) -> None:
        self.options = options
        self.context = context

    @abstractmethod
    def pre_create_check(self) -> None:
        """Find out, without making anything, whether create can work. Raises `MissingRequirement`,
        `InvalidOption` or `PreCreateCheckFailed`."""

    @classmethod
    def doctor(cls) -> list[Finding]:
        """What this computer has and lacks for machines of this driver; makes nothing. Unless a driver knows more, its
        check before create is asked, with the default options."""
        from pymachine.drivers.checkup import by_pre_create_check

        return by_pre_create_check(cls)

    @abstractmethod
    def create(self) -> None:
        """Make and start the host, or go on with an interrupted create."""

    @abstractmethod
    def start(self) -> None:
        """Start a stopped host; fine when running."""

    @abstractmethod
    def stop(self) -> None:
        """Stop gracefully; fine when stopped."""

    @abstractmethod
    def kill(self) -> None:
        """Stop at once; fine when stopped."""

    def restart(self) -> None:
        """Stop and start; drivers that can do better override it."""
        self.stop()
        self.start()

    @abstractmethod
    def remove(self) -> None:
        """Remove the host and all that create made, from whatever state; fine when there is nothing."""

    def renamed(self) -> None:
        """The machine's name has changed to the context's: bring names outside up to date; fine when they are."""
        return None

    @abstractmethod
    def state(self) -> State:
        """The state now, asked of the outside; quick."""

    @abstractmethod
    def address(self) -> str:
        """The host's address for SSH and engine; raises `DriverError` when it has none yet."""

    @abstractmethod
    def ssh_endpoint(self) -> SSHEndpoint: ...

    def engine_port(self) -> int:
        """The TCP port on which the engine listens on the host; another than the URL's where that one is forwarded."""
        from urllib.parse import urlsplit

        return urlsplit(self.engine_url()).port or 2376

    def engine_url(self) -> str:
        """``tcp://ADDRESS:2376``; IPv6 in brackets. Empty when there is no address."""
        address = self.address()
        host = f"[{address}]" if ":" in address else address
        return f"tcp://{host}:2376"


@runtime_checkable
class BatchStates(Protocol):
    """A power of drivers that can ask the outside for many machines by one call."""

    def batch(self) -> Hashable:
        """Machines of the same batch are asked for together; others at the same time, so that one whose outside is
        slow or broken holds up no other. Asks nobody. Raises `MachineError` for a machine that cannot be asked for."""
        ...

    def states(self, drivers: Sequence[Driver]) -> Mapping[str, Seen]:
        """By machine id, for drivers of this driver's class and of one batch (a class method). Machines that are left
        out are asked one by one. Raises `MachineError` when nothing can be known of any."""
        ...


@runtime_checkable
class LetsIn(Protocol):
    """A power of drivers whose machines let in only computers that they know."""

    def let_in(self) -> None:
        """Open a running machine to this computer, which may be at another address than the last time; fine when it
        is open to it already."""
        ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state of a machine that was kept."""

    name: str
    created: str
    """RFC 3339, UTC."""
    running: bool
    """Whether the memory was kept too, so that the machine goes on from that moment."""


@runtime_checkable
class Snapshots(Protocol):
    """A power of drivers that can keep a machine's state and bring it back."""

    def snapshots(self) -> list[Snapshot]:
        """All, the oldest first."""
        ...

    def create_snapshot(self, name: str) -> None:
        """Keep the state now. Raises `DriverError` when the name is taken."""
        ...

    def restore_snapshot(self, name: str) -> None:
        """Bring that state back; what came after it is lost. Raises `DriverError` when there is none."""
        ...

    def remove_snapshot(self, name: str) -> None:
        """Forget that state; the machine stays as it is."""
        ...


@runtime_checkable
class Console(Protocol):
    """A power of drivers that can attach to a machine's serial console."""

    def attach_console(self, read: Callable[[], bytes], write: Callable[[bytes], None]) -> None:
        """Send what *read* returns and pass on what comes, until *read* returns nothing or the machine ends."""
        ...


@runtime_checkable
class Resizable(Protocol):
    """A power of drivers that can change the size of a machine that exists."""

    def resize(self, *, cpus: int = 0, memory: str = "", disk: str = "") -> Mapping[str, Any]:
        """Change what is given, when the machine starts next. Returns the options, by field name, that the record
        is to have from now on. Raises `InvalidOption`, and `DriverError` for what cannot be changed."""
        ...


@runtime_checkable
class Retypable(Protocol):
    """A power of drivers whose machines have one of the types that somebody offers."""

    def change_type(self, name: str) -> Mapping[str, Any]:
        """Give a stopped machine another type. Returns the options that the record is to have from now on. Raises
        `InvalidOption` for a type that cannot be, `DriverError` when the machine runs."""
        ...


@runtime_checkable
class Clonable(Protocol):
    """A power of drivers that can make a machine with a copy of another one's disk."""

    def clone_options(self) -> Mapping[str, Any]:
        """The new machine's options: this one's, without what one machine only can have, such as a static address."""
        ...

    def clone_resources(self) -> Mapping[str, Any]:
        """What a new machine's ``resources`` begin with, so that its create copies this machine. Raises `DriverError`
        when it cannot be copied as it is now."""
        ...


@runtime_checkable
class Collects(Protocol):
    """A power of drivers that find outside what was made for machines, without any record of them."""

    def belongings(self, store_id: str) -> Sequence[Belonging]:
        """All that was made for machines of a store, or of any when it is empty; where the options say."""
        ...

    def discard(self, things: Sequence[Belonging]) -> None:
        """Remove them; fine when they are gone."""
        ...


@runtime_checkable
class Regional(Protocol):
    """A power of drivers whose outside has several regions, of which the options name one."""

    def regions(self) -> Sequence[str]:
        """Names of all that may be used. Raises `DriverError`."""
        ...

    def in_region(self, region: str) -> Driver:
        """The same driver, looking at another region."""
        ...
