"""Facts: what the host prints is read as meant, and the script itself runs under a plain sh."""

from __future__ import annotations

import subprocess

import pytest

from pymachine.machine.errors import ProvisionError
from pymachine.provisioners.facts import facts_script, parse_facts
from pymachine.provisioners.families import family_of
from pymachine.provisioners.osrelease import OSRelease, parse_os_release


def test_the_script_runs_on_this_computer_and_its_answer_parses() -> None:
    output = subprocess.run(["sh", "-s"], input=facts_script(), capture_output=True, text=True).stdout

    facts = parse_facts(output)

    assert facts.os.id != ""
    assert facts.pid1 != ""
    assert facts.kernel == subprocess.run(["uname", "-r"], capture_output=True, text=True).stdout.strip()


def test_an_answer_that_was_cut_short_is_refused() -> None:
    with pytest.raises(ProvisionError, match="cut short"):
        parse_facts("\n==os-release==\nID=debian\n==hostname==\nx\n")


def test_pythons_too_old_or_not_whole_are_seen_but_not_chosen() -> None:
    facts = parse_facts("==python==\n3.9 /usr/bin/python3\n3.12 /usr/bin/python3.12\n3.11 /b\nwhole /b\n==end==\n")

    assert facts.python == "/b"
    assert facts.python_versions == ("3.9", "3.12", "3.11")


def test_what_else_serves_on_the_host_is_read() -> None:
    facts = parse_facts(
        "==firewall==\nrunning\n22/tcp 80/tcp\n\n==docker==\ndisabled\ninactive\n==docker-socket==\n/run/docker.sock\n"
        '==listening==\n0100007F:0016\n00000000000000000000000000000000:0948\n==owner==\n{"store": "s"}\n'
        "==engine-config==\n[broken\n==selinux==\nEnforcing\n==end==\n"
    )

    assert (facts.firewall, facts.firewall_ports, facts.firewall_trusted) == (True, ("22/tcp", "80/tcp"), ())
    assert (facts.docker, facts.docker_socket, facts.listening) == (False, True, frozenset({22, 2376}))
    assert (facts.owner, facts.engine_config, facts.selinux) == ({"store": "s"}, {}, "Enforcing")


def test_who_logged_in_and_whether_the_socket_is_his_is_read() -> None:
    facts = parse_facts("==login==\nubuntu\n==groups==\nubuntu adm docker\n==end==\n")
    assert (facts.login, facts.login_in_group) == ("ubuntu", True)
    other = parse_facts("==login==\nadmin\n==groups==\nadmin docker-registry\n==end==\n")
    assert (other.login, other.login_in_group) == ("admin", False)
    assert parse_facts("==login==\n\n==groups==\n\n==end==\n").login == ""


def test_what_cannot_be_installed_or_is_not_in_the_kernel_is_read() -> None:
    facts = parse_facts("==sealed==\nsealed\n==lacks-addrtype==\nlacking\n==end==\n")

    assert (facts.sealed, facts.lacks_addrtype) == (True, True)
    plain = parse_facts("==sealed==\n\n==lacks-addrtype==\n\n==end==\n")
    assert (plain.sealed, plain.lacks_addrtype) == (False, False)


def test_service_files_and_releases_are_read() -> None:
    facts = parse_facts(
        "==current==\n/opt/pymachine/releases/abc\n==releases==\nabc\nold\n"
        "==files==\n1234  /etc/pymachine/engine.json\n==modes==\n600 /etc/pymachine/tls/server-key.pem\n"
        "==service==\nenabled\ninactive\n==cloud-init==\nstatus: running\n==end==\n"
    )

    assert facts.current_release == "abc"
    assert facts.releases == ("abc", "old")
    assert facts.files == {"/etc/pymachine/engine.json": "1234"}
    assert facts.modes == {"/etc/pymachine/tls/server-key.pem": 0o600}
    assert (facts.service_enabled, facts.service_active) == (True, False)
    assert facts.cloud_init == "running"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"', "Debian GNU/Linux 12 (bookworm)"),
        ("ID='alpine'\nPRETTY_NAME='Alpine Linux v3.20'", "Alpine Linux v3.20"),
        ('ID="x"\nPRETTY_NAME="a=b"\nBROKEN="unclosed\n# NAME=no', "a=b"),
    ],
)
def test_os_release_is_read_as_a_shell_reads_it(text: str, expected: str) -> None:
    assert parse_os_release(text).pretty_name == expected


def test_relatives_are_provisioned_as_their_family() -> None:
    assert family_of(OSRelease("ubuntu")).name == "debian"
    assert family_of(OSRelease("kali", id_like=("debian",))).name == "debian"
    assert family_of(OSRelease("eurolinux", id_like=("rhel", "fedora", "centos"))).name == "redhat"
    assert family_of(OSRelease("manjaro", id_like=("arch",))).name == "arch"


def test_an_unknown_distribution_is_named() -> None:
    with pytest.raises(ProvisionError, match=r"OS type not recognized: Plan 9 \(ID=plan9\)"):
        family_of(OSRelease("plan9", pretty_name="Plan 9"))
