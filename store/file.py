"""The store in a directory::

    ROOT/store.json                    the store's id and schema
    ROOT/certs/                        CA and client certificate
    ROOT/machines/NAME/record.json     the machine: it exists when this file does
    ROOT/machines/NAME/.record.last    the record before its last change: what is known when the record is damaged
    ROOT/machines/NAME/.record.renamed the record under its next name, while it gets that
    ROOT/machines/NAME/journal.jsonl   the operation in progress
    ROOT/expiring/NAME                 when the machine is to be removed by itself
    ROOT/locks/                        leases; outside the machines, so that they outlive their removal

Directories are 0700, files 0600. Reading makes nothing and waits for nobody.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from pymachine.machine.errors import MachineError, MachineExists, MachineNotFound, RecordDamaged, StoreBusy
from pymachine.store import locks
from pymachine.store.atomic import create_file, make_directory, replace_file, storage_errors, sync_directory
from pymachine.store.base import SCHEMA, Damaged, Journal, Record, Store
from pymachine.store.expiring import ExpiringIndex
from pymachine.store.journal import FileJournal
from pymachine.store.names import is_valid, valid_name
from pymachine.store.portable import rename, replace
from pymachine.store.salvage import salvage_pieces, salvage_whole
from pymachine.store.schema import check_schema, dump_record, parse_record, read_file

_REMOVED = ".removed-"
"""What a machine's directory is called from the moment it is deleted until its files are gone."""
_LAST = ".record.last"
_RENAMED = ".record.renamed"
_ATTEMPTS = 100
"""How often a deletion of the same name may take the directory away under a create."""


class FileStore(Store):
    """Machines in a directory of this computer."""

    def __init__(self, root: Path) -> None:
        """Makes and reads nothing."""
        self.root = Path(os.path.abspath(root))
        self._machines = self.root / "machines"
        self._expiring = ExpiringIndex(self.root)
        self._directories: dict[str, Path] = {}
        """Kept, since `ls` asks for every machine's several times, and paths take longer to make than to use."""
        self._id = ""

    @property
    def id(self) -> str:
        """The store's UUID; asking for it makes the store, since it is asked for to mark something outside."""
        self._ensure()
        return self._id

    @property
    def location(self) -> str:
        """The directory."""
        return str(self.root)

    def names(self) -> list[str]:
        """Names of all machines, damaged ones too, sorted."""
        with storage_errors("cannot read the store", self._machines):
            try:
                entries = os.listdir(self._machines)
            except FileNotFoundError:
                return []
        return sorted(name for name in entries if is_valid(name) and self._exists(name))

    def load(self, name: str) -> Record:
        """Raises `MachineNotFound` or `RecordDamaged`."""
        try:
            return self._load(name)
        except RecordDamaged as error:
            remedy = error.hint or f'restore its record.json, or remove it with "pymachine rm -f {name}"'
            raise RecordDamaged(f'the record of machine "{name}" is damaged: {error}', hint=remedy) from error

    def load_all(self) -> Iterator[Record | Damaged]:
        """Every machine, sorted by name; one removed meanwhile is passed over."""
        for name in self.names():
            try:
                yield self._load(name)
            except MachineNotFound:
                continue
            except RecordDamaged as error:
                yield Damaged(name, str(error))

    def create(self, record: Record) -> None:
        """Add a record; of many that try at once all but one get `MachineExists`."""
        path = self._record(record.name)
        content = _dump(record)
        self._ensure()
        self._expiring.add(record.name, record.expires_at)
        with storage_errors("cannot write", path):
            self._refuse_foreign(path.parent)
            with contextlib.suppress(OSError):  # a killed remove may have left keys; whoever comes next tries again
                self._sweep()
            try:
                self._create(path, content, record.name)
            except OSError:  # a full disk: what has no record must not stay
                with contextlib.suppress(OSError):
                    path.parent.rmdir()
                raise

    def _create(self, path: Path, content: bytes, name: str) -> None:
        for _ in range(_ATTEMPTS):
            make_directory(path.parent)
            with contextlib.suppress(FileNotFoundError):
                try:
                    return create_file(path, content)
                except FileExistsError:
                    raise MachineExists(name) from None
        raise MachineError(f"cannot write {path}: its directory is removed again and again")

    def save(self, record: Record) -> None:
        """Replace a record; raises `MachineNotFound` when it was removed meanwhile."""
        path = self._record(record.name)
        content = _dump(record)
        with storage_errors("cannot write", path):
            if not self._exists(record.name):
                raise MachineNotFound(record.name)
            try:
                self._keep(path)
                replace_file(path, content)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path.with_name(_RENAMED))
            except FileNotFoundError:
                raise MachineNotFound(record.name) from None

    def delete(self, name: str) -> None:
        """Remove a machine's record and all its files; fine when absent.

        One rename takes the whole machine out of sight; what a crash leaves of it the next delete sweeps up.
        """
        directory = self._directory(name)
        with storage_errors("cannot remove", directory):
            if _is_foreign(directory):
                return
            with contextlib.suppress(FileNotFoundError):
                rename(directory, self._machines / f"{_REMOVED}{os.urandom(8).hex()}")
                sync_directory(self._machines)
            self._expiring.drop(name)
            self._sweep()

    def rename(self, name: str, new: str) -> Record:
        """Write the record with its new name beside the old one, then rename the directory: that is the moment."""
        record = dataclasses.replace(self.load(name), name=new)
        source, target = self._directory(name), self._directory(new)
        self._expiring.add(new, record.expires_at)
        with storage_errors("cannot rename", source):
            if os.path.lexists(target / "record.json"):
                raise MachineExists(new)
            self._refuse_foreign(target)
            replace_file(source / _RENAMED, _dump(record))
            _remove_tree(target)  # left by a create that was killed before there was a record
            rename(source, target)
            sync_directory(self._machines)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(target / _LAST)
            replace(target / _RENAMED, target / "record.json")
            sync_directory(target)
        self._expiring.drop(name)
        return record

    def expiring(self) -> Mapping[str, str]:
        """By the index; see `ExpiringIndex`."""
        return self._expiring.moments()

    def watch(self, *, wait: float = 0) -> AbstractContextManager[None]:
        """A lock of its own; `StoreBusy` after *wait* seconds."""
        return locks.hold(self.root / "locks" / "expiry.lock", "The removal of expired machines", "expiry", wait=wait)

    def forget_expiry(self, name: str) -> None:
        """Drop it from the index."""
        self._expiring.drop(name)

    def salvage(self, name: str) -> Record | None:
        """From what is legible of the record, else from the one before its last change."""
        path = self._record(name)
        kept = [_content(path), _content(path.with_name(_LAST))]
        found = [salvage_whole(content, name) for content in kept]
        found += [salvage_pieces(content, name) for content in kept]
        return next((record for record in found if record is not None), None)

    def sweep(self) -> None:
        """Remove what killed processes left in the store; machines that somebody works on are passed over."""
        with storage_errors("cannot tidy", self._machines):
            self._sweep()
            if not self._machines.is_dir():
                return
            for name in os.listdir(self._machines):
                if is_valid(name) and not self._exists(name):
                    with contextlib.suppress(StoreBusy), self.lease(name, "sweep"):
                        if not self._exists(name):
                            self.delete(name)

    def lease(self, name: str, purpose: str, *, wait: float = 0) -> AbstractContextManager[None]:
        """The sole right to change a machine; `StoreBusy` after *wait* seconds."""
        path = self.root / "locks" / "machines" / f"{valid_name(name)}.lock"
        return locks.hold(path, f'Machine "{name}"', purpose, wait=max(wait, 0))

    def lock(self) -> AbstractContextManager[None]:
        """The store's own lock; waits."""
        return locks.hold(self.root / "locks" / "store.lock", "The store", "store", wait=locks.FOREVER)

    def journal(self, name: str) -> Journal:
        """The journal of machine *name*; nothing is made before its first event."""
        return FileJournal(f"{self._directory(name)}/journal.jsonl")

    def machine_dir(self, name: str) -> Path:
        """The machine's directory (0700), made when missing."""
        return self._made(self._directory(name))

    def certs_dir(self) -> Path:
        """The directory (0700) of the CA and client certificate, made when missing."""
        return self._made(self.root / "certs")

    def _load(self, name: str) -> Record:
        """Like `load`, but `RecordDamaged` says the reason alone."""
        try:
            content = read_file(self._record(name))
        except (FileNotFoundError, NotADirectoryError):
            raise MachineNotFound(name) from None
        except OSError as error:
            raise RecordDamaged(f"it cannot be read: {error.strerror or error}") from error
        try:
            return parse_record(content, name)
        except RecordDamaged:
            renamed = self._renamed(name)
            if renamed is None:
                raise
            return renamed

    def _renamed(self, name: str) -> Record | None:
        """The record that a rename, which a crash interrupted at its last step, was about to put in place."""
        content = _content(self._directory(name) / _RENAMED)
        try:
            return parse_record(content, name) if content else None
        except RecordDamaged:
            return None

    def _made(self, directory: Path) -> Path:
        with storage_errors("cannot make the directory", directory):
            make_directory(directory)
        return directory

    def _directory(self, name: str) -> Path:
        found = self._directories.get(name)
        if found is None:
            found = self._directories[name] = Path(f"{self._machines}/{valid_name(name)}")
        return found

    def _record(self, name: str) -> Path:
        return Path(f"{self._machines}/{valid_name(name)}/record.json")  # in one go: `ls` does it for every machine

    def _exists(self, name: str) -> bool:
        """Whether there is a record, readable or not."""
        try:
            os.lstat(f"{self._machines}/{name}/record.json")
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return True

    def _ensure(self) -> None:
        """Make the store, once, whoever comes first; refuse one that a later version made."""
        if self._id:
            return
        path = self.root / "store.json"
        with storage_errors("cannot make the store in", self.root):
            try:
                content = read_file(path)
            except FileNotFoundError:
                import uuid  # 3 ms that readers need not pay

                make_directory(self._machines)
                made = json.dumps({"schema": SCHEMA, "id": str(uuid.uuid4())}).encode() + b"\n"
                with contextlib.suppress(FileExistsError):
                    create_file(path, made)
                content = read_file(path)
        self._id = _store_id(path, content)

    def _refuse_foreign(self, directory: Path) -> None:
        if _is_foreign(directory):
            raise MachineError(
                f"{directory} holds a machine made by docker-machine",
                hint="choose another directory with --storage-path or MACHINE_STORAGE_PATH",
            )

    def _keep(self, path: Path) -> None:
        """Let the record that is about to be replaced have a second name; not worth failing for."""
        temporary = path.with_name(f"{_LAST}.{os.urandom(8).hex()}")
        with contextlib.suppress(OSError):
            os.link(path, temporary)
            replace(temporary, path.with_name(_LAST))
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # still there when both were one file already (rename(2))

    def _sweep(self) -> None:
        try:
            entries = os.listdir(self._machines)
        except FileNotFoundError:
            return
        for name in entries:
            if name.startswith(_REMOVED):
                _remove_tree(self._machines / name)


def _remove_tree(path: Path) -> None:
    """Remove what may be a file, a link or a tree, also while another process does the same."""
    import shutil  # 3 ms that readers need not pay

    with contextlib.suppress(FileNotFoundError):
        if path.is_symlink() or not path.is_dir():
            return path.unlink()
        for _ in range(_ATTEMPTS):  # a create that had the directory open may put one more file into it
            shutil.rmtree(path, onerror=_forgive_haste)
            if not path.exists():
                return


def _forgive_haste(function: object, path: str, info: tuple[object, BaseException, object]) -> None:
    """Pass over what is gone already, and what is not empty yet."""
    error = info[1]
    if not (isinstance(error, OSError) and error.errno in (errno.ENOENT, errno.ENOTEMPTY)):
        raise error


def _is_foreign(directory: Path) -> bool:
    """docker-machine keeps ``config.json`` where ours is ``record.json``."""
    return (directory / "config.json").exists() and not os.path.lexists(directory / "record.json")


def _dump(record: Record) -> bytes:
    try:
        return dump_record(record)
    except (TypeError, ValueError) as error:
        raise MachineError(f'the record of machine "{record.name}" is not JSON: {error}') from error


def _content(path: Path) -> bytes:
    try:
        return read_file(path)
    except OSError:
        return b""


def _store_id(path: Path, content: bytes) -> str:
    import uuid

    try:
        document = json.loads(content)
        check_schema(document["schema"])
        return str(uuid.UUID(document["id"]))
    except RecordDamaged as error:
        raise MachineError(f"{path} cannot be used: {error}", hint=error.hint) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MachineError(f"{path} is damaged", hint="restore it, or choose another directory") from error
