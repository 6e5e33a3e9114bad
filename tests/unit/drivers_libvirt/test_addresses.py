"""Where a domain's address is found when libvirt itself cannot say."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymachine.drivers.libvirt.addresses import is_local, neighbour

TABLE = """\
IP address       HW type     Flags       HW address            Mask     Device
192.168.122.9    0x1         0x0         52:54:00:aa:bb:01     *        virbr0
192.168.122.7    0x1         0x2         52:54:00:AA:BB:02     *        virbr0
192.168.122.8    0x1         0x2         52:54:00:aa:bb:03     *        virbr0
"""


@pytest.mark.parametrize(
    ("macs", "address"),
    [
        (["52:54:00:aa:bb:02"], "192.168.122.7"),
        (["52:54:00:aa:bb:09", "52:54:00:aa:bb:03"], "192.168.122.8"),
        (["52:54:00:aa:bb:01"], ""),
        ([], ""),
    ],
)
def test_the_computers_own_table_knows_who_has_answered(macs: list[str], address: str, tmp_path: Path) -> None:
    table = tmp_path / "arp"
    table.write_text(TABLE)

    assert neighbour(macs, table) == address


def test_only_this_computers_libvirt_shares_its_table() -> None:
    assert is_local("qemu:///system")
    assert not is_local("qemu+ssh://root@host/system")
