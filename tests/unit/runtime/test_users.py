"""Users and groups are found as Docker finds them, in hostile files too."""

from __future__ import annotations

import pytest

from pymachine.engine.runtime.users import look_up

PASSWD = """root:x:0:0:root:/root:/bin/sh
# a comment
broken:x:nine:9::/:
halfway:x:12
www:x:33:33:www:/var/www:/bin/false
1000:x:5:6:a name like a number:/five:
"""
GROUP = "root:x:0:\nwww:x:33:\nextra:x:44:www,other\nbad:x:y:www\nmore:x:55:other,www\n"


def read(path: str) -> str:
    return {"/etc/passwd": PASSWD, "/etc/group": GROUP}[path]


def nothing(path: str) -> str:
    return ""


@pytest.mark.parametrize(
    ("user", "uid", "gid", "groups", "home"),
    [
        ("", 0, 0, [0], "/root"),
        ("root", 0, 0, [0], "/root"),
        ("www", 33, 33, [33, 44, 55], "/var/www"),
        ("33", 33, 33, [33, 44, 55], "/var/www"),
        ("www:extra", 33, 44, [44], "/var/www"),
        ("www:7", 33, 7, [7], "/var/www"),
        ("4711", 4711, 0, [0], "/"),
        ("4711:4712", 4711, 4712, [4712], "/"),
        ("1000", 5, 6, [6], "/five"),
    ],
)
def test_a_user_is_found(user: str, uid: int, gid: int, groups: list[int], home: str) -> None:
    found = look_up(user, (), read)
    assert (found.uid, found.gid, found.groups, found.home) == (uid, gid, groups, home)


def test_additional_groups_come_after_the_users_own() -> None:
    assert look_up("www", ("more", "7", "extra"), read).groups == [33, 44, 55, 7]


@pytest.mark.parametrize(
    ("user", "groups", "message"),
    [
        ("none", (), "unable to find user none: no matching entries in passwd file"),
        ("broken", (), "unable to find user broken: no matching entries in passwd file"),
        ("0:none", (), "unable to find group none: no matching entries in group file"),
        ("0", ("none",), "unable to find group none: no matching entries in group file"),
        ("-1", (), "unable to find user -1"),
        ("2147483648", (), "must be in range 0-2147483647"),
        ("٣", (), "unable to find user"),
    ],
)
def test_one_that_is_not_there_is_named(user: str, groups: tuple[str, ...], message: str) -> None:
    with pytest.raises(LookupError, match=message):
        look_up(user, groups, read)


def test_without_files_numbers_do() -> None:
    found = look_up("5:6", ("7",), nothing)
    assert (found.uid, found.gid, found.groups, found.home) == (5, 6, [6, 7], "/")
    assert look_up("", (), nothing).uid == 0
