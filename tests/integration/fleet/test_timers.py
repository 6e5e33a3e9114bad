"""Machines that go by themselves, on computers whose process 1 is systemd: real hosts with pymachine on them."""

from __future__ import annotations

import contextlib
import shlex
import sysconfig
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pymachine.drivers.local.options import Options
from pymachine.drivers.userdata import power_off_at
from pymachine.machine.errors import DriverError
from support import localroot
from support.localmachine import LocalMachine, local_machine

pytestmark = pytest.mark.root

SOURCE = Path(__file__).resolve().parents[3]
LIBRARIES = sysconfig.get_path("purelib")
STORE = "/srv/we ird $HOME 100% store"
RECORDS = f"ls -d {shlex.quote(STORE)}/machines/* 2>/dev/null"
UNITS = "ls /etc/systemd/system /var/lib/systemd/timers | grep -a pymachine-expiry"
SECONDS = 400.0


@pytest.fixture(scope="module")
def computer() -> Iterator[LocalMachine]:
    """A host with systemd and pymachine."""
    mounts = (f"{SOURCE}:{SOURCE}:ro", f"{LIBRARIES}:{LIBRARIES}:ro")
    localroot.ensure_image("debian-12")
    with localroot.local_root(), local_machine("computer", Options(mount=mounts)) as machine:
        yield machine.create()


def pymachine(computer: LocalMachine, *args: str) -> str:
    """Run the program there."""
    path = f"PYTHONPATH={SOURCE}/src:{LIBRARIES}"
    words = ["env", path, "python3", "-m", "pymachine", "-s", STORE, *args]
    return computer.ssh(shlex.join(words))


def create(computer: LocalMachine, name: str, ttl: str) -> None:
    pymachine(computer, "create", "-d", "none", "--url", "tcp://127.0.0.1:1", "--ttl", ttl, name)


def until(computer: LocalMachine, command: str, wanted: str) -> None:
    """Wait until *command* prints *wanted*."""
    end = time.monotonic() + SECONDS
    while (seen := computer.ssh(command, check=False)) != wanted:
        assert time.monotonic() < end, f"{command}: {seen}\n{computer.ssh('cat /srv/*/expiry.log', check=False)}"
        time.sleep(0.3)


def restart(computer: LocalMachine, *, off_until: datetime) -> None:
    """A power cut, and the start after it; no sooner than that."""
    computer.driver.kill()
    time.sleep(max(0.0, (off_until - datetime.now(UTC)).total_seconds()))
    computer.driver.start()


def test_it_goes_at_its_time_without_any_process_that_waits(computer: LocalMachine) -> None:
    create(computer, "brief", "4s")
    assert "lifetime.watcher" not in computer.ssh("ps ax")

    until(computer, RECORDS, "")
    until(computer, UNITS, "")
    assert "brief: removed" in computer.ssh("cat /srv/*/expiry.log")


@pytest.fixture(scope="module")
def rebooted(computer: LocalMachine) -> LocalMachine:
    """Root has a machine to live on and one whose time came while the computer was off, as a user has. Nobody has run
    pymachine since."""
    create(computer, "later", "2h")
    create(computer, "brief", "12s")
    create_as_ann(computer, "12s")
    restart(computer, off_until=datetime.now(UTC) + timedelta(seconds=12))
    return computer


def create_as_ann(computer: LocalMachine, ttl: str) -> None:
    """As a user whose own systemd runs though nobody is logged in."""
    drop_in = "[Service]\nEnvironment=XDG_RUNTIME_DIR=/run/user/%i\n"  # pam_systemd's part, which the image lacks
    computer.ssh("mkdir /etc/systemd/system/user@.service.d; cat >$_/runtime.conf", stdin=drop_in)
    computer.ssh("useradd -m ann && loginctl enable-linger ann")
    until(computer, "systemctl is-active user@$(id -u ann)", "active")
    made = f"python3 -m pymachine create -d none --url tcp://127.0.0.1:1 --ttl {ttl} m"
    words = f"XDG_RUNTIME_DIR=/run/user/$(id -u) PYTHONPATH={SOURCE}/src:{LIBRARIES} {made}"
    assert ".timer" in computer.ssh(f"su - ann -c {shlex.quote(f'{words} && ls ~/.config/systemd/user')}")


def test_it_goes_after_a_reboot_though_the_computer_was_off_at_its_time(rebooted: LocalMachine) -> None:
    """What is to live on does, and its own removal puts the timer away."""
    until(rebooted, RECORDS, f"{STORE}/machines/later")
    assert rebooted.ssh("systemctl is-active 'pymachine-expiry-*.timer'") == "active"

    pymachine(rebooted, "rm", "-y", "later")

    until(rebooted, UNITS, "")


def test_an_ordinary_users_machine_goes_too(rebooted: LocalMachine) -> None:
    until(rebooted, "ls /home/ann/.pymachine/machines", "")
    until(rebooted, "ls /home/ann/.config/systemd/user | grep -a expiry", "")


def test_it_goes_after_the_next_start_when_its_removal_was_cut_off(computer: LocalMachine) -> None:
    """The timer has run already then: the service starts with the computer."""
    create(computer, "stuck", "3s")
    computer.ssh(f"nohup flock {shlex.quote(STORE)}/locks/expiry.lock sleep 1000 >/dev/null 2>&1 &")
    until(computer, "systemctl is-active 'pymachine-expiry-*.service'", "active")
    time.sleep(3)  # past the moment, with the service waiting for its turn
    assert computer.ssh(RECORDS) == f"{STORE}/machines/stuck"
    restart(computer, off_until=datetime.now(UTC))

    until(computer, RECORDS, "")
    until(computer, UNITS, "")


def test_a_host_turns_itself_off_as_its_cloud_config_says(computer: LocalMachine) -> None:
    """As instances of clouds do, which are gone with that; also when they were off at the time."""
    moment = datetime.now(UTC) + timedelta(seconds=6)
    configure(computer, moment)
    with contextlib.suppress(DriverError):  # it may be off again before its SSH server answers
        restart(computer, off_until=moment + timedelta(seconds=1))

    until_off(computer)


def test_a_host_whose_time_was_over_when_it_booted_turns_itself_off(computer: LocalMachine) -> None:
    computer.driver.start()
    computer.ssh(
        "systemctl disable --now pymachine-expiry.timer; rm -f /var/lib/systemd/timers/stamp-pymachine-expiry.*"
    )
    configure(computer, datetime.now(UTC) - timedelta(minutes=1))

    until_off(computer)


def configure(computer: LocalMachine, moment: datetime) -> None:
    """What cloud-init would do; the last command may end the connection."""
    told = power_off_at(moment.isoformat(timespec="seconds"))
    for file in told["write_files"]:
        computer.ssh(f"cat > {file['path']}", stdin=file["content"])
    for argv in told["runcmd"]:
        computer.ssh(shlex.join(argv), check=False)


def until_off(computer: LocalMachine) -> None:
    end = time.monotonic() + SECONDS
    while computer.driver.state() != "Stopped":
        assert time.monotonic() < end
        time.sleep(0.3)
