"""Operations of the libvirt driver that are ended by SIGKILL at a chosen moment.

Moments are after every write to the record and to the journal, and after every call that changes something at
libvirt, which is to say: before the next one; of the many blocks of an upload, some. The process that dies is forked
from a small one that has never talked to libvirt, so no handler runs, and no thread of the tests is copied in the
middle of its work.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymachine.drivers.base import Context
from pymachine.drivers.libvirt import LibvirtDriver, storage
from pymachine.drivers.libvirt.options import Options
from pymachine.drivers.testing import FileJournal, Workbench

CHANGES: Mapping[str, tuple[str, ...]] = {
    "virConnect": ("defineXML", "networkDefineXML", "storagePoolDefineXML"),
    "virDomain": ("create", "destroy", "setAutostart", "undefineFlags"),
    "virNetwork": ("create", "setAutostart", "undefine", "update"),
    "virStoragePool": ("build", "create", "createXML", "createXMLFrom", "setAutostart"),
    "virStorageVol": ("delete", "upload"),
    "virStream": ("finish", "send"),
}
"""Methods of libvirt's classes that change something there."""
FEW_SENDS = 30
"""Of the blocks of uploads only every so many-th is a moment."""
PRELOADED = ["pymachine.drivers.libvirt.driver", "pymachine.drivers.libvirt.seed", "pymachine.drivers.testing"]
PRELOADED += ["pymachine.machine.ssh.keys", "cryptography.hazmat.primitives.asymmetric.ed25519", "libvirt", "pycdlib"]
STALLED_SECONDS = 1.0
"""Nobody else uploads here, so an image that is not whole needs no long look."""
FAILED = 3


@dataclass(frozen=True)
class Attempt:
    """One operation that was to be killed."""

    killed: bool
    moments: tuple[str, ...]
    """All that were passed; at the last one the process was killed."""


def attempt(bench: Workbench, options: Options, verb: str, stop: Callable[[list[str]], bool], log: Path) -> Attempt:
    """Run ``create`` or ``remove`` until *stop*, which is given the moments so far, the present one last, is true.

    *stop* goes to another process, and so is a function or a partial of one. Raises `AssertionError` when the
    operation fails by itself.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    log.write_text("")
    child = context.Process(target=_run, args=(bench, options, verb, stop, log, dict(os.environ)))
    child.start()
    child.join()
    code, moments = child.exitcode, tuple(log.read_text().splitlines())
    child.close()
    assert code in (0, -signal.SIGKILL), f"{verb} failed by itself after {moments[-1:]}; see its output above"
    return Attempt(code != 0, moments)


def at_number(number: int, moments: list[str]) -> bool:
    """At the *number*-th moment, from 1."""
    return len(moments) == number


def at_name(name: str, moments: list[str]) -> bool:
    """At the first moment of that name."""
    return moments[-1] == name


def at_first_other_than(seen: Collection[str], moments: list[str]) -> bool:
    """At the first moment that is not in *seen*."""
    return moments[-1] not in seen


class _Moments:
    """Tells moments apart by what is done and how often it has been done."""

    def __init__(self, stop: Callable[[list[str]], bool], log: Path) -> None:
        self._stop = stop
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND)
        self._passed: list[str] = []
        self._sends = 0
        self._begun = False

    def point(self, what: str) -> None:
        """Something has been done."""
        number = sum(name.startswith(f"{what} #") for name in self._passed) + 1
        self._passed.append(f"{what} #{number}")
        os.write(self._log, f"{self._passed[-1]}\n".encode())
        if self._stop(self._passed):
            os.kill(os.getpid(), signal.SIGKILL)

    def writing(self, what: str) -> None:
        """Told before and after each write."""
        self._begun = not self._begun
        if not self._begun:
            self.point(what)

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """*call* with a moment behind it."""

        def counted(*args: Any, **options: Any) -> Any:
            result = call(*args, **options)
            if name == "virStream.send":
                self._sends += 1
            if name != "virStream.send" or self._sends % FEW_SENDS == 1:
                self.point(name)
            return result

        return counted


class _Journal(FileJournal):
    """Names its moments."""

    def __init__(self, path: Path, moments: _Moments) -> None:
        self._doing = ""
        super().__init__(path, lambda: moments.writing(self._doing))

    def _write(self, step: str, facts: dict[str, Any], *, done: bool) -> None:
        self._doing = f"{'completing' if done else 'beginning'} {step}"
        super()._write(step, facts, done=done)


def _context(bench: Workbench, moments: _Moments) -> Context:
    journal = _Journal(bench.directory / "journal.json", moments)
    return dataclasses.replace(bench.context(lambda: moments.writing("saving the record")), journal=journal)


def _run(
    bench: Workbench,
    options: Options,
    verb: str,
    stop: Callable[[list[str]], bool],
    log: Path,
    environ: dict[str, str],
) -> None:
    """In the process that is to die."""
    import libvirt

    os.environ.clear()
    os.environ.update(environ)
    storage.STALLED_SECONDS = STALLED_SECONDS
    moments = _Moments(stop, log)
    for kind, methods in CHANGES.items():
        for name in methods:
            wrapped = moments.around(f"{kind}.{name}", getattr(getattr(libvirt, kind), name))
            setattr(getattr(libvirt, kind), name, wrapped)
    try:
        getattr(LibvirtDriver(options, _context(bench, moments)), verb)()
    except BaseException:
        traceback.print_exc()
        os._exit(FAILED)
    os._exit(0)
