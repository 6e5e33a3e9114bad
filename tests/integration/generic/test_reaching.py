"""The way to a host: users with a sudo password, jump hosts, ssh_config, and what goes wrong on it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from integration.generic.conftest import PASSWORD, Host
from support.program import Program, environment
from support.sshd import free_port
from support.terminal import converse

pytestmark = pytest.mark.root

ADOPT = ("-d", "generic", "--generic-takeover")
"""Each test has a store of its own, and the hosts are always another's."""
QUESTION = "[sudo] password for ann on "


@pytest.fixture(scope="module")
def host(bookworm: Host) -> Host:
    """Debian 12, where ann may use sudo with her password."""
    bookworm.add_user("ann")
    return bookworm


@pytest.fixture
def as_ann(host: Host) -> tuple[str, ...]:
    return (*host.flags, *ADOPT, "--generic-ssh-user", "ann")


def secret_places(host: Host, program: Program) -> str:
    """All that is written about what was done, here and on the host."""
    here = "".join(path.read_text(errors="replace") for path in program.store.rglob("*") if path.is_file())
    there = host.run("journalctl -o cat --no-pager; cat /var/log/*.log 2>/dev/null; cat /etc/pymachine/*.json")
    return here + there


def test_sudo_asks_for_the_password_once(host: Host, program: Program, as_ann: tuple[str, ...]) -> None:
    """On the terminal, whatever the number of commands and sessions; it is nowhere to be found afterwards."""
    argv = program.argv("create", *as_ann, "s")
    code, shown = converse(argv, environment({"TERM": "xterm"}), [(QUESTION, "wrong"), (QUESTION, PASSWORD)])
    assert code == 0, shown
    assert shown.count(QUESTION) == 2
    assert "Sorry, try again." in shown
    assert PASSWORD not in shown
    assert PASSWORD not in secret_places(host, program)

    code, shown = converse(program.argv("provision", "s"), environment(), [(QUESTION, PASSWORD)])
    assert (code, shown.count(QUESTION)) == (0, 1)
    assert program.ok("version", "s")
    assert program.ok("ssh", "s", "id -un") == "ann\n"


def test_the_password_may_come_by_environment_or_standard_input(
    host: Host, program: Program, as_ann: tuple[str, ...]
) -> None:
    program.ok("create", *as_ann, "e", env={"GENERIC_SUDO_PASSWORD": PASSWORD})
    program.ok("create", *as_ann, "--generic-sudo-password-stdin", "i", stdin=f"{PASSWORD}\n")

    assert program.ok("provision", "i", stdin=f"{PASSWORD}\nmore\n")
    assert PASSWORD not in secret_places(host, program)


def test_without_anybody_to_ask_the_ways_are_named(host: Host, program: Program, as_ann: tuple[str, ...]) -> None:
    """A process without a terminal, in a session of its own."""
    done = program.start("create", *as_ann, "n")
    _, error = done.communicate(timeout=120)
    assert done.returncode == 1
    assert f"sudo wants the password of user ann on {host.address}, and there is no terminal" in error
    assert "GENERIC_SUDO_PASSWORD" in error
    assert "NOPASSWD" in error
    wrong = program.run("create", *as_ann, "n", env={"GENERIC_SUDO_PASSWORD": "wrong"})
    assert f"sudo on {host.address} does not accept the password of user ann" in wrong.stderr
    assert program.ok("ls", "-q") == "n\n", "what was made can be resumed"
    host.run("useradd -m -s /bin/sh bob; cp -r /root/.ssh /home/bob/; chown -R bob: /home/bob")
    nobody = program.run("create", *host.flags, "--generic-ssh-user", "bob", "b", env={"GENERIC_SUDO_PASSWORD": "x"})
    assert nobody.returncode == 1
    assert "bob" in nobody.stderr.splitlines()[0]


@pytest.fixture
def ssh_config(host: Host, trixie: Host, tmp_path: Path) -> Path:
    """As an admin has it: the host by its alias, behind a jump host, with a key of its own, from an included file."""
    known = tmp_path / "known_hosts"
    known.write_text(f"inner-name {host.host_key()}\njump-name {trixie.host_key()}\n")
    (tmp_path / "hosts.conf").write_text(
        f"Host inner\n  HostName {host.address}\n  User root\n  IdentityFile {host.key}\n  ProxyJump hop\n"
        f"  HostKeyAlias inner-name\n  UserKnownHostsFile {known}\n"
    )
    config = tmp_path / "config"
    config.write_text(
        f"Include {tmp_path}/hosts.conf\n"
        f"Host hop\n  HostName {trixie.address}\n  User root\n  IdentityFile {trixie.key}\n  IdentitiesOnly yes\n"
        f"  HostKeyAlias jump-name\n  UserKnownHostsFile {known}\n"
        # Without the alias its key is noted as that of its address, which the next test's host may have.
        f"Host {trixie.address}\n  UserKnownHostsFile {tmp_path}/noted\n"
    )
    return config


def test_ssh_config_and_jump_hosts_are_honoured(host: Host, trixie: Host, program: Program, ssh_config: Path) -> None:
    """Only the alias is given. All sessions come from the jump host, and the key is known before the first."""
    flags = (*ADOPT, "--generic-ip-address", "inner", "--generic-ssh-config", str(ssh_config))
    since = host.run("date +%s")
    program.ok("create", *flags, "j")
    program.ok("provision", "j")
    assert program.ok("ssh", "j", "echo $SSH_CONNECTION").split()[0] == trixie.address

    log = host.run(f"journalctl -u ssh -o cat --since @{since}")
    logins = [line for line in log.splitlines() if line.startswith("Accepted publickey") and " port " in line]
    origins = {line.split(" from ")[1].split()[0] for line in logins}
    gateway = host.run("echo $SSH_CONNECTION").split()[0]
    assert origins == {trixie.address, gateway}, "the gateway's are this test's own"
    assert program.ok("ip", "j") == f"{host.address}\n"
    assert (program.store / "machines/j/known_hosts").read_text() == f"inner-name {host.host_key()}\n"
    assert json.loads(program.ok("ls", "--format", "json"))[0]["State"] == "Running"

    direct = (*ADOPT, "--generic-ip-address", host.address, "--generic-ssh-key", str(host.key))
    jump = ("--generic-ssh-config", str(ssh_config), "--generic-proxy-jump", f"root@{trixie.address}:22")
    done = program.run("create", *direct, *jump, "--timeout", "4", "k")
    assert "the proxy command says: " in done.stderr, "its key is for the alias only"
    program.ok("create", *direct, *jump[:2], "--generic-proxy-jump", "hop", "k2")


def test_docker_goes_through_the_jump_host_where_the_port_is_closed(
    host: Host, program: Program, ssh_config: Path, tmp_path: Path
) -> None:
    """Of the host nothing but SSH can be reached, and that by way of another host only."""
    rule = "INPUT -p tcp --dport 2376 ! -i lo -j REJECT --reject-with tcp-reset"
    env = {"MACHINE_DOCKER_CONTEXT": "ssh", "DOCKER_CONFIG": str(tmp_path / "docker")}
    flags = (*ADOPT, "--generic-ip-address", "inner", "--generic-ssh-config", str(ssh_config))
    host.run(f"iptables -I {rule}")
    try:
        program.ok("create", *flags, "closed", env=env)
        version = ["docker", "--context", "closed", "version", "--format", "{{.Server.Version}}"]
        shown = subprocess.run(version, env=environment(env), capture_output=True, text=True, timeout=60)
        assert shown.returncode == 0, shown.stderr
        assert shown.stdout.strip()
    finally:
        host.run(f"iptables -D {rule}")
        program.ok("rm", "-y", "closed", env=env)


def test_a_host_with_another_key_than_known_hosts_says_is_refused(
    host: Host, trixie: Host, program: Program, ssh_config: Path
) -> None:
    ssh_config.with_name("known_hosts").write_text(f"inner-name {trixie.host_key()}\njump-name {trixie.host_key()}\n")
    flags = (*ADOPT, "--generic-ip-address", "inner", "--generic-ssh-config", str(ssh_config))
    done = program.run("create", *flags, "m")

    assert done.returncode == 1
    assert "has changed: pinned in" in done.stderr
    assert "sed -i" in done.stderr


def test_a_changed_host_key_is_refused_until_it_is_forgotten(trixie: Host, program: Program) -> None:
    program.ok("create", *trixie.flags, *ADOPT, "c")
    known = trixie.machine.driver.ssh_endpoint().known_hosts
    assert known is not None
    before = known.read_text()
    trixie.run(
        "cd /etc/ssh; cp ssh_host_ed25519_key{,.old}; cp ssh_host_ed25519_key.pub{,.old};"
        "ssh-keygen -q -t ed25519 -N '' -f new; mv new ssh_host_ed25519_key; mv new.pub ssh_host_ed25519_key.pub;"
        "systemctl restart ssh"
    )
    try:
        done = program.run("provision", "c")
        assert done.returncode == 1
        assert f"the host key of {trixie.address} has changed: pinned in {program.store}/machines/c/known_hosts" in (
            done.stderr
        )
        remedy = done.stderr.split("forget the old key: ")[1].splitlines()[0]
        assert os.system(remedy) == 0
        program.ok("provision", "c")
    finally:
        known.write_text((program.store / "machines/c/known_hosts").read_text())
        trixie.run(
            "cd /etc/ssh; mv ssh_host_ed25519_key.old ssh_host_ed25519_key;"
            "mv ssh_host_ed25519_key.pub.old ssh_host_ed25519_key.pub; systemctl restart ssh"
        )
        known.write_text(before)


def test_a_host_that_cannot_be_reached_ends_create_at_its_time(program: Program, trixie: Host) -> None:
    """Nobody listens; the key is another; the name is nobody's: each says so, and the machine can be removed."""
    (key := program.store.parent / "other").parent.mkdir(exist_ok=True)
    assert os.system(f"ssh-keygen -q -t ed25519 -N '' -f {key}") == 0
    cases = {
        "closed": ("127.0.0.1", str(free_port()), "connecting to 127.0.0.1 port"),
        "locked": (
            trixie.address,
            "22",
            f"the host does not accept the private key {program.store}/machines/locked/other",
        ),
        "nobody": ("no-such-host.invalid", "22", "connecting to no-such-host.invalid"),
    }
    started = {}
    for name, (address, port, _) in cases.items():
        flags = ("--generic-ip-address", address, "--generic-ssh-port", port, "--generic-ssh-key", str(key))
        started[name] = program.start("create", "-d", "generic", *flags, "--timeout", "8", name)
    for name, (_, _, words) in cases.items():
        _, said = started[name].communicate(timeout=300)
        assert started[name].returncode == 1
        assert words in said, said
    states = {row["Name"]: row["State"] for row in json.loads(program.ok("ls", "--format", "json"))}
    assert states == {"closed": "Stopped", "locked": "Running", "nobody": "Error"}
    program.ok("rm", "-y", *cases)


def test_a_key_without_a_name_of_its_own_spoils_no_certificate(trixie: Host, program: Program) -> None:
    """Clouds like to call their keys key.pem, which is the client's in a machine's directory."""
    key = program.store.parent / "key.pem"
    key.write_bytes(trixie.key.read_bytes())
    key.chmod(0o600)
    program.ok("create", *ADOPT, "--generic-ip-address", trixie.address, "--generic-ssh-key", str(key), "k")

    assert program.ok("version", "k")
    assert (program.store / "machines/k/ssh-key.pem").read_bytes() == key.read_bytes()
