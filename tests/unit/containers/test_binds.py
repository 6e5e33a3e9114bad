"""``Binds``, ``Mounts``, ``Tmpfs`` and ``Volumes``."""

from __future__ import annotations

from typing import Any

import pytest

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.engine.containers import binds
from pymachine.engine.containers.model import MountPoint


def test_a_host_directory() -> None:
    wish = binds.bind("/src/./x:/dst/:ro,Z,rslave")
    assert wish.make_source
    assert wish.point == MountPoint("bind", "/dst", "/src/x", "", True, "rslave", "ro,Z,rslave")


def test_volumes_named_and_anonymous() -> None:
    named = binds.bind("data:/dst:nocopy")
    assert (named.point.type, named.point.name, named.copy) == ("volume", "data", False)
    assert binds.bind("/only").point.anonymous


@pytest.mark.parametrize(
    "text", ["a:b", "/a:/b:/c:/d", "/a:/b:bad", ":/x", "/a:", "/a:/", "/a:/..", "-v:/x", "a/b:/x", "/a:/b:ro:rw"]
)
def test_malformed_binds(text: str) -> None:
    with pytest.raises(InvalidArgument):
        binds.bind(text)


def test_destinations_are_normalised() -> None:
    assert binds.bind("/a://b/../c//d/").point.destination == "/c/d"


@pytest.mark.parametrize(
    "entry",
    [
        {"Type": "bind", "Target": "/x"},
        {"Type": "bind", "Source": "rel", "Target": "/x"},
        {"Type": "bind", "Source": "/a", "Target": "x"},
        {"Type": "tmpfs", "Source": "/a", "Target": "/x"},
        {"Type": "volume", "Source": "a/b", "Target": "/x"},
        {"Type": "volume", "Source": "a", "Target": "/x", "VolumeOptions": {"Subpath": "../x"}},
        {"Type": "volume", "Source": "a", "Target": "/x", "VolumeOptions": {"DriverConfig": {"Name": "nfs"}}},
        {"Type": "npipe", "Target": "/x"},
        {"Type": "bind", "Source": "/a"},
    ],
)
def test_malformed_mounts(entry: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        binds.mount(entry)


def test_tmpfs_options_override_the_safe_ones() -> None:
    assert binds.tmpfs("/t", "exec,size=1m,mode=700").point.options == (
        "nosuid", "nodev", "exec", "size=1m", "mode=700",
    )  # fmt: skip
    assert binds.tmpfs("/t", "").point.options == ("noexec", "nosuid", "nodev", "mode=1777")


def test_precedence_and_order() -> None:
    config: dict[str, Any] = {"Volumes": {"/a": {}, "/v/deep": {}}}
    host = {"Binds": ["/h:/a/b"], "Tmpfs": {"/t": ""}}
    found = binds.wishes(config, host, [MountPoint("volume", "/a", "/s", "old", anonymous=True)])
    assert [wish.point.destination for wish in found] == ["/t", "/a", "/a/b", "/v/deep"]
    inherited = found[1].point
    assert (inherited.name, inherited.anonymous) == ("old", False)


def test_the_same_place_twice() -> None:
    with pytest.raises(InvalidArgument, match="Duplicate mount point: /a"):
        binds.wishes({}, {"Binds": ["/x:/a"], "Mounts": [{"Type": "tmpfs", "Target": "/a/"}]}, [])
