"""An ordinary user with local machines in a root that root has made for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.drivers.local.layout import Layout
from support.localprogram import image_root
from support.localroot import local_root
from support.ordinaryuser import OrdinaryUser, ordinary_user


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A local root; removed at the end."""
    image_root()
    with local_root() as path:
        path.chmod(0o755)
        Layout.from_environment().identity(make=True)
        yield path


@pytest.fixture(scope="module")
def user(root: Path) -> Iterator[OrdinaryUser]:
    """Who may run the helper without a password, until a test says otherwise."""
    variables = {name: os.environ[name] for name in ("PYMACHINE_LOCAL_ROOT", "PYMACHINE_IMAGE_ROOT")}
    with ordinary_user({**variables, "MACHINE_DRIVER": "local"}) as made:
        made.allow(made.rule("NOPASSWD: "))
        try:
            yield made
        finally:
            made.allow(made.rule("NOPASSWD: "))
            names = made.pymachine("ls", "-q").stdout.split()
            if names:
                made.ok("rm", "-f", *names)


@pytest.fixture
def with_password(user: OrdinaryUser) -> Iterator[OrdinaryUser]:
    """The same user, of whom sudo wants the password each time."""
    user.allow(user.rule(""))
    yield user
    user.allow(user.rule("NOPASSWD: "))
