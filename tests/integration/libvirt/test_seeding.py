"""Data for a machine, given over HTTP: what is given, to whom, and what is said when nobody asks."""

from __future__ import annotations

import stat
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pymachine.drivers.base import Context
from pymachine.drivers.libvirt import domains, seed, seeding
from pymachine.drivers.libvirt.domains import Disk, Host
from pymachine.drivers.libvirt.options import Nic, Options
from pymachine.drivers.testing import Workbench
from pymachine.machine.errors import DeadlineExceeded, DriverError

OPTIONS = Options(seed="smbios", domain_type="qemu")
CONTENTS = {"user-data": "#cloud-config\n", "meta-data": "instance-id: x\n"}


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Workbench(tmp_path / "m", name="web").context()


@pytest.fixture
def url() -> str:
    made = seeding.new_url(None, Nic("user"))
    return made.replace(seeding.USER_NET_HOST, seeding.LOOPBACK)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


def described(context: Context, url: str) -> str:
    disks = [Disk("/pool/disk.qcow2", "vda", "disk0")]
    nics = domains.with_macs(OPTIONS.networks(), context.machine_id)
    return domains.describe(OPTIONS, context, Host("x86_64", "AMD"), nics, disks=disks, folder="/pool", seed_url=url)


def test_only_who_knows_the_address_is_given_the_data(url: str) -> None:
    with seeding.served(url, CONTENTS) as served:
        assert get(f"{url}meta-data") == "instance-id: x\n"
        assert get(f"{url}vendor-data") == ""
        for other in (f"{url}passwd", f"{url.rsplit('/', 2)[0]}/user-data"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                get(other)
        with pytest.raises(DeadlineExceeded, match="nothing asked 127.0.0.1:") as late:
            served.wait(0.0, lambda: "its console's end")
        assert "firewall" in str(late.value)
        assert get(f"{url}user-data") == "#cloud-config\n"
        served.wait(time.monotonic() + 600, str)
    with pytest.raises(urllib.error.URLError):
        get(f"{url}user-data")


def test_the_guest_is_told_where_to_ask_and_who_it_is(context: Context, url: str) -> None:
    text = described(context, url)

    assert seeding.url_of(text) == url
    assert f"ds=nocloud-net;i={context.machine_id};h=web;s={url}" in text
    assert "seed.iso" not in text
    assert seeding.url_of(described(context, "")) == ""
    assert "web-" in described(context, "")
    assert "-seed.iso" in described(context, "")


def test_the_data_are_private_until_they_are_fetched_and_keep_the_machines_identity(context: Context) -> None:
    who = seed.prepare(context, OPTIONS, domains.with_macs(OPTIONS.networks(), context.machine_id))
    contents = seed.files(who)
    assert seed.IDENTITY_FILE in contents["user-data"]
    assert "write_files" not in seed.files(replace(who, stays_at=""))["user-data"]
    seeding.keep(context.directory, contents)
    assert stat.S_IMODE((context.directory / seeding.FILE).stat().st_mode) == 0o600
    assert seeding.kept(context.directory) == contents
    seeding.forget(context.directory)
    seeding.forget(context.directory)
    assert seeding.kept(context.directory) == {}


def test_a_port_that_was_taken_meanwhile_is_told(url: str) -> None:
    with seeding.served(url, CONTENTS), pytest.raises(DriverError, match="Address already in use") as taken:  # noqa: SIM117
        with seeding.served(url, CONTENTS):
            pass
    assert "create it again" in taken.value.hint


def test_a_network_on_which_this_computer_has_no_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        stdout = '[{"addr_info": []}]'

    def run(*_: Any) -> type[Nothing]:
        return Nothing

    monkeypatch.setattr("pymachine.drivers.local.host.run", run)
    with pytest.raises(DriverError, match='no address on "br0"') as lost:
        seeding.new_url(None, Nic("bridge", "br0"))
    assert "--libvirt-seed disk" in lost.value.hint
