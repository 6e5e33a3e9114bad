"""Archives: what goes in comes out, and nothing hostile gets through."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from pymachine.store import archiveseal
from pymachine.store.archive import (
    LARGEST_ARCHIVE,
    LARGEST_FILE,
    MOST_FILES,
    ArchivedMachine,
    ArchiveRefused,
    is_portable,
    pack,
    unpack,
)

MACHINES = [
    ArchivedMachine("web", b"{}", {"ca.pem": b"ca", "id_ed25519": b"key"}),
    ArchivedMachine("db", b'{"x": 1}'),
]


def member(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def manifest(*names: object, schema: object = 1) -> tuple[tarfile.TarInfo, bytes]:
    return member("pymachine.json", json.dumps({"schema": schema, "machines": list(names)}).encode())


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as opened:
        for info, content in members:
            opened.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_what_goes_in_comes_out() -> None:
    assert unpack(pack(MACHINES)) == MACHINES
    assert pack(MACHINES) == pack(MACHINES)


RECORD = member("web/record.json", b"{}")
HOSTILE = {
    "a path upwards": [manifest("web"), RECORD, member("web/../../x", b"x")],
    "an absolute path": [manifest("web"), RECORD, member("/etc/passwd", b"x")],
    "a deeper path": [manifest("web"), RECORD, member("web/a/b", b"x")],
    "a backslash": [manifest("web"), RECORD, member("web/..\\x", b"x")],
    "a hidden file": [manifest("web"), RECORD, member("web/.record.renamed", b"x")],
    "a journal": [manifest("web"), RECORD, member("web/journal.jsonl", b"x")],
    "a machine that is not named": [manifest("web"), RECORD, member("db/record.json", b"{}")],
    "a symbolic link": [manifest("web"), RECORD, member("web/x", type=tarfile.SYMTYPE, linkname="/etc/passwd")],
    "a hard link": [manifest("web"), RECORD, member("web/x", type=tarfile.LNKTYPE, linkname="web/record.json")],
    "a device": [manifest("web"), RECORD, member("web/x", type=tarfile.CHRTYPE)],
    "a fifo": [manifest("web"), RECORD, member("web/x", type=tarfile.FIFOTYPE)],
    "a directory": [manifest("web"), RECORD, member("web", type=tarfile.DIRTYPE)],
    "a file twice": [manifest("web"), RECORD, RECORD],
    "a file that is too large": [manifest("web"), RECORD, member("web/x", b"x" * (LARGEST_FILE + 1))],
    "too many files": [manifest("web"), RECORD, *(member(f"web/{i}", b"x") for i in range(MOST_FILES + 1))],
    "no record": [manifest("web")],
    "no table of contents": [RECORD],
    "a table of contents that comes late": [RECORD, manifest("web")],
    "a later version": [manifest("web", schema=2), RECORD],
    "no version": [manifest("web", schema=True), RECORD],
    "no machines": [manifest(), RECORD],
    "a name twice": [manifest("web", "web"), RECORD],
    "a name that is a path": [manifest("../web"), RECORD],
    "a name that is none": [manifest(7), RECORD],
    "a table of contents that is no JSON": [member("pymachine.json", b"{"), RECORD],
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_archives_are_refused(what: str) -> None:
    with pytest.raises(ArchiveRefused):
        unpack(archive(*HOSTILE[what]))


def test_a_sparse_file_is_refused() -> None:
    """A few bytes in the archive that would be many in memory."""
    info, content = member("web/x", b"x")
    info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.size": str(1 << 40)}
    info.pax_headers["GNU.sparse.map"] = "0,1"
    with pytest.raises(ArchiveRefused):
        unpack(archive(manifest("web"), RECORD, (info, content)))


@pytest.mark.parametrize("content", [b"", b"hello", b"\x1f\x8b\x08" + b"\0" * 100, b"\0" * 10240])
def test_what_is_no_archive_is_refused(content: bytes) -> None:
    with pytest.raises(ArchiveRefused):
        unpack(content)


def test_an_archive_cut_short_anywhere_is_refused_or_lacks_only_padding() -> None:
    whole = pack(MACHINES)
    for size in range(0, len(whole), 256):
        try:
            assert unpack(whole[:size]) == MACHINES
        except ArchiveRefused:
            continue


def test_an_archive_that_is_too_large_is_refused() -> None:
    with pytest.raises(ArchiveRefused, match="64 MiB"):
        unpack(bytes(LARGEST_ARCHIVE + 1))


def test_names_of_files_that_may_travel() -> None:
    assert all(map(is_portable, ("ca.pem", "id_rsa.pub", "ssh-key_2")))
    assert not any(map(is_portable, ("record.json", ".record.last", "journal.jsonl", "", "a/b", "a" * 101, "ä")))


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiveseal, "COST", 4)


@pytest.mark.usefixtures("cheap")
def test_what_is_sealed_is_for_those_who_know_the_passphrase() -> None:
    sealed = archiveseal.seal(b"secret", b"horse")

    assert b"secret" not in sealed
    assert archiveseal.is_sealed(sealed)
    assert not archiveseal.is_sealed(pack(MACHINES))
    assert archiveseal.unseal(sealed, b"horse") == b"secret"
    assert archiveseal.seal(b"secret", b"horse") != sealed
    with pytest.raises(ArchiveRefused, match="the passphrase is another"):
        archiveseal.unseal(sealed, b"cart")


@pytest.mark.usefixtures("cheap")
def test_no_byte_of_a_sealed_archive_can_be_changed_or_cut_off_unseen() -> None:
    sealed = archiveseal.seal(b"secret", b"horse")
    for at in range(len(sealed)):
        if at in (27, 28, 29):  # the cost: what is tried with others is in the next test
            continue
        with pytest.raises(ArchiveRefused):
            archiveseal.unseal(sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], b"horse")
        with pytest.raises(ArchiveRefused):
            archiveseal.unseal(sealed[:at], b"horse")


@pytest.mark.parametrize("cost", [(0, 8, 1), (19, 8, 1), (63, 8, 1), (4, 255, 1), (4, 8, 255)])
@pytest.mark.usefixtures("cheap")
def test_a_seal_that_asks_for_all_of_the_memory_is_not_tried(cost: tuple[int, int, int]) -> None:
    sealed = archiveseal.seal(b"secret", b"horse")
    with pytest.raises(ArchiveRefused, match="does not know"):
        archiveseal.unseal(sealed[:27] + bytes(cost) + sealed[30:], b"horse")
