"""The local driver's options: what is taken, and what is refused with which words."""

from __future__ import annotations

import pytest

from pymachine.drivers.local.options import Mount, Options, parse_memory, parse_mount, parse_subnet
from pymachine.drivers.options import build
from pymachine.machine.errors import InvalidOption


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("2g", 2 << 30), ("512m", 512 << 20), ("512MiB", 512 << 20), ("134217728", 128 << 20), ("1T", 1 << 40)],
)
def test_memory_sizes(text: str, size: int) -> None:
    """Sizes are in powers of 1024, with or without a unit."""
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "two", "-1", "1.5g", "2gg", "1m", "9" * 30, "1 g"])
def test_memory_that_is_no_size(text: str) -> None:
    """Anything else is refused, and so is too little to boot in."""
    with pytest.raises(InvalidOption, match="--local-memory"):
        parse_memory(text)


def test_mounts() -> None:
    """SOURCE:TARGET, read-only on request."""
    assert parse_mount("/a:/b") == Mount("/a", "/b")
    assert parse_mount("/a:/b:ro") == Mount("/a", "/b", read_only=True)
    assert parse_mount("/a:/b:rw") == Mount("/a", "/b")


@pytest.mark.parametrize(
    "text", ["/a", "a:/b", "/a:b", "/a:/b:rx", "/a:/../etc", "/a:/", "/a:/proc/", "/a:/etc/resolv.conf", "/a:/b\0", ""]
)
def test_mounts_that_cannot_be(text: str) -> None:
    """Relative paths, ways out of the target, and places that the machine needs are refused."""
    with pytest.raises(InvalidOption, match="--local-mount"):
        parse_mount(text)


@pytest.mark.parametrize(
    "text", ["8.8.8.0/24", "10.0.0.0/8", "10.0.0.0/30", "10.0.0.1/24", "fd00::/64", "x", "127.0.0.0/24"]
)
def test_subnets_that_cannot_be(text: str) -> None:
    """Public, loopback, IPv6, too large, too small, or with host bits."""
    with pytest.raises(InvalidOption, match="--local-subnet"):
        parse_subnet(text)


def test_every_problem_is_found_at_once() -> None:
    """One look at the options names all flags with a wrong value."""
    options = Options(cpus=-1, memory="x", mount=("y",), subnet="z", ssh_user="no way")
    found = " ".join(options.problems())
    for flag in ("--local-cpus", "--local-memory", "--local-mount", "--local-subnet", "--local-ssh-user"):
        assert flag in found


def test_defaults_are_right() -> None:
    """The defaults have no problem, and mean no limit."""
    options = build("local", Options, {}, env={})
    assert options.problems() == []
    assert (options.memory_bytes(), options.mounts(), options.network()) == (0, [], None)


def test_environment() -> None:
    """LOCAL_* variables give what flags do not."""
    options = build("local", Options, {"cpus": 2}, env={"LOCAL_CPUS": "1", "LOCAL_MOUNT": "/a:/b,/c:/d"})
    assert options.cpus == 2
    assert options.mounts() == [Mount("/a", "/b"), Mount("/c", "/d")]
