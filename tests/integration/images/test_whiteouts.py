"""Deletions in layers mean the same on both drivers, whatever the order of a layer's entries."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from pymachine.engine.images.archive.unpack import unpack
from pymachine.engine.images.chains import digest_of
from pymachine.engine.storage.select import open_driver

pytestmark = pytest.mark.root

LOWER = ["d/", "d/old", "d/sub/", "d/sub/deep", "file", "other"]
CASES = [
    ([".wh.file"], {"d/old", "d/sub/deep", "other"}),
    ([".wh.file", "file"], {"d/old", "d/sub/deep", "file!", "other"}),
    (["file", ".wh.file"], {"d/old", "d/sub/deep", "file!", "other"}),
    ([".wh.d"], {"file", "other"}),
    ([".wh.d", "d/", "d/new"], {"d/new!", "file", "other"}),
    (["d/", "d/new", ".wh.d"], {"d/new!", "file", "other"}),
    ([".wh.d", "d/new"], {"d/new!", "file", "other"}),
    (["d/", "d/.wh..wh..opq", "d/new"], {"d/new!", "file", "other"}),
    (["d/", "d/new", "d/.wh..wh..opq"], {"d/new!", "file", "other"}),
    (["d/sub/.wh.deep", "d/sub/new"], {"d/old", "d/sub/new!", "file", "other"}),
    ([".wh.absent", ".wh..wh.aufs", ".wh..wh.plnk"], {"d/old", "d/sub/deep", "file", "other"}),
    (["d"], {"d!", "file", "other"}),
    (["file/", "file/x"], {"d/old", "d/sub/deep", "file/x!", "other"}),
    ([".wh..wh..opq", "only"], {"only!"}),
]


def _tar(names: list[str], content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in names:
            info = tarfile.TarInfo(name.rstrip("/"))
            if name.endswith("/"):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            else:
                info.size = 0 if ".wh." in name else len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["overlay2", "vfs"])
@pytest.mark.parametrize(("names", "expected"), CASES)
def test_deletions(tmp_path: Path, kind: str, names: list[str], expected: set[str]) -> None:
    driver = open_driver(kind, tmp_path)
    parent = None
    for number, tar in enumerate((_tar(LOWER, b"low"), _tar(names, b"high"))):
        chain = digest_of(bytes([number]))
        with driver.new_layer(chain, parent) as folder:
            unpack(iter([tar]), folder, keep_whiteouts=driver.keeps_whiteouts)
        parent = chain
    driver.create_container("c", parent)
    with driver.mounted("c") as root:
        found = set()
        for path in root.rglob("*"):
            if path.is_file():
                found.add(str(path.relative_to(root)) + ("!" if path.read_bytes() == b"high" else ""))
    assert found == expected


def test_owners_devices_capabilities_and_attributes_are_kept(tmp_path: Path) -> None:
    """security.capability is what makes ping(8) work for everyone; trusted.* is the overlay's own."""
    capability = b"\x01\x00\x00\x02\x00\x20\x00\x00" + b"\0" * 12
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, form, mode in (("ping", tarfile.REGTYPE, 0o4755), ("null", tarfile.CHRTYPE, 0o666)):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.uid, info.gid, info.devmajor, info.devminor = form, mode, 1234, 70000, 1, 3
            if form == tarfile.REGTYPE:
                info.pax_headers = {
                    "SCHILY.xattr.security.capability": capability.decode("utf-8", "surrogateescape"),
                    "SCHILY.xattr.user.note": "kept",
                    "SCHILY.xattr.trusted.overlay.redirect": "/etc",
                    "mtime": "1600000000.123456789",
                }
            tar.addfile(info)
        info = tarfile.TarInfo("pipe")
        info.type = tarfile.FIFOTYPE
        tar.addfile(info)
    unpack(iter([buffer.getvalue()]), tmp_path)
    ping = tmp_path / "ping"
    assert (ping.stat().st_uid, ping.stat().st_gid, ping.stat().st_mode & 0o7777) == (1234, 70000, 0o4755)
    assert ping.stat().st_mtime_ns == 1_600_000_000_123_456_789
    assert os.getxattr(ping, "security.capability") == capability
    assert os.getxattr(ping, "user.note") == b"kept"
    assert "trusted.overlay.redirect" not in os.listxattr(ping)
    null = (tmp_path / "null").stat()
    assert stat.S_ISCHR(null.st_mode)
    assert null.st_rdev == os.makedev(1, 3)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
