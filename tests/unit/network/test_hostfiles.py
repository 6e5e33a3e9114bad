"""resolv.conf and hosts."""

from __future__ import annotations

from pymachine.engine.network.hostfiles import hosts, own_names, resolv_conf

HOST = """# made by hand
nameserver 127.0.0.1
nameserver 192.0.2.53 # ours
nameserver fe80::1%eth0
search a.test b.test
options edns0
"""


def test_the_hosts_servers_that_a_container_can_reach() -> None:
    assert resolv_conf(HOST) == "nameserver 192.0.2.53\nsearch a.test b.test\noptions edns0\n"


def test_the_fallbacks_when_there_are_none() -> None:
    assert resolv_conf("nameserver ::1\n") == "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"


def test_what_is_given_wins_each_by_itself() -> None:
    text = resolv_conf(HOST, dns=["192.0.2.1"], options=["ndots:2"])
    assert text == "nameserver 192.0.2.1\nsearch a.test b.test\noptions ndots:2\n"


def test_a_dot_means_no_search() -> None:
    assert "search" not in resolv_conf(HOST, search=["."])


def test_the_embedded_server_stands_alone() -> None:
    text = resolv_conf(HOST, embedded=True)
    assert text == "nameserver 127.0.0.11\nsearch a.test b.test\noptions edns0 ndots:0\n"


def test_hosts_has_the_standard_entries_then_ours() -> None:
    lines = hosts([("192.0.2.9", "db"), ("10.0.0.2", own_names("web", "test"))]).splitlines()
    assert lines[0] == "127.0.0.1\tlocalhost"
    assert lines[-2:] == ["192.0.2.9\tdb", "10.0.0.2\tweb.test web"]


def test_a_full_host_name_is_known_by_its_first_part_too() -> None:
    assert own_names("web.test", "") == "web.test web"
