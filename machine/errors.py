"""The client's errors, drawn whole.

::

    MachineError                    exit 1   something failed; the message is one line for the user
    ├── UsageError                  exit 2   the command line is wrong
    ├── InvalidName, InvalidOption  exit 1   a value is wrong: which, and what would be right
    ├── MachineNotFound             exit 1
    ├── MachineExists               exit 1
    ├── RecordDamaged               exit 1   a record in the store cannot be read; nothing else is harmed
    ├── StoreBusy                   exit 1   another process holds the lease: who, since when
    ├── PreCreateCheckFailed        exit 3   the driver's check before create; nothing was made
    ├── MissingRequirement          exit 1   a system package, a permission, root: with the remedy
    ├── DriverError                 exit 1   the driver failed, in a named stage
    ├── DeadlineExceeded            exit 1   stage, last error, where to look
    ├── SSHError                    exit 1   unreachable, refused, host key changed
    ├── RemoteCommandFailed         exit 1   a command on the host failed: what, how
    ├── ProvisionError              exit 1
    └── CertificateError            exit 1

Each may carry a *hint*: what the user can do, shown as a second line. Only the command line exits.
"""

from __future__ import annotations


class MachineError(Exception):
    """The root. ``str(error)`` is one line; ``hint`` a second one, or empty."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(MachineError):
    """The command line is wrong."""

    exit_code = 2


class InvalidName(MachineError, ValueError):
    """A machine name that is not allowed."""


class InvalidOption(MachineError, ValueError):
    """An option's value is wrong; the message names the option and every problem found."""


class MachineNotFound(MachineError, LookupError):
    """No such machine."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f'Docker machine "{name}" does not exist. Use "pymachine ls" to list machines. '
            'Use "pymachine create" to add a new one.'
        )
        self.name = name


class MachineExists(MachineError):
    """The name is taken."""

    def __init__(self, name: str) -> None:
        super().__init__(f'Docker machine "{name}" already exists')
        self.name = name


class RecordDamaged(MachineError):
    """A machine's record cannot be read: cut short, not JSON, from a newer version, or not readable."""


class StoreBusy(MachineError):
    """Another process holds the machine's lease."""


class PreCreateCheckFailed(MachineError):
    """The driver's check before create failed; nothing was made."""

    exit_code = 3


class MissingRequirement(MachineError):
    """Something the computer must have is missing; the hint is the remedy, to be pasted."""


class DriverError(MachineError):
    """The driver failed."""


class DeadlineExceeded(MachineError, TimeoutError):
    """A wait ended without its event.

    *stage* is what was waited for, *last_error* the newest reason seen, *look_at* where more is to be read.
    """

    def __init__(self, stage: str, seconds: float, *, last_error: str = "", look_at: str = "") -> None:
        reason = f": {last_error}" if last_error else ""
        super().__init__(f"timed out after {seconds:.0f} s while {stage}{reason}", hint=look_at)
        self.stage = stage
        self.last_error = last_error


class SSHError(MachineError, ConnectionError):
    """No SSH session: unreachable, refused, or a host key that changed."""


class RemoteCommandFailed(MachineError):
    """A command on the host ended with a status other than 0."""

    def __init__(self, command: str, status: int, output: str) -> None:
        tail = output.strip().splitlines()[-1] if output.strip() else "no output"
        super().__init__(f"command on the host failed with status {status}: {command}: {tail}")
        self.status = status
        self.output = output


class ProvisionError(MachineError):
    """Provisioning failed, in a named step."""


class CertificateError(MachineError):
    """A certificate is missing, expired, or does not fit."""
