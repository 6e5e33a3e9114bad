"""Which image is taken: the publisher's own word, else the newest that is really the publisher's; and one by its id."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pymachine.drivers.amazonec2 import catalogue
from pymachine.drivers.amazonec2.plan import make_plan
from pymachine.machine.errors import InvalidOption
from support.ec2.lab import Lab
from support.ec2.machines import Machine
from support.ec2.moto_side import CANONICAL

pytestmark = pytest.mark.root
PREFIX = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-"
Register = Callable[..., str]


@pytest.fixture
def register(ec2: Lab) -> Register:
    """Make an image, and make it somebody's."""

    def make(name: str, *, architecture: str = "x86_64", **facts: str) -> str:
        client = ec2.client()
        made = client.register_image(Name=name, RootDeviceName="/dev/sda1")
        ec2.change_images({"id": made["ImageId"], "architecture": architecture, **facts})
        return str(made["ImageId"])

    return make


def test_the_publishers_parameter_comes_first(ec2: Lab, tmp_path: Path, register: Register) -> None:
    newer = register(f"{PREFIX}amd64-server-20990101", owner=CANONICAL, date="2099-01-01T00:00:00")
    machine = Machine(ec2, tmp_path)
    machine.create()
    assert machine.resources["plan"]["image"] != newer
    assert "GetParameter" in ec2.log()


USERS = {"ubuntu-24.04": "ubuntu", "ubuntu-22.04": "ubuntu", "debian-12": "admin", "debian-13": "admin",
         "amazon-2023": "ec2-user", "rocky-9": "rocky", "alma-9": "ec2-user"}  # fmt: skip


@pytest.mark.parametrize(("kind", "word", "rpm"), [("t3.micro", "amd64", "x86_64"), ("t4g.micro", "arm64", "aarch64")])
def test_every_distribution_has_its_place_and_its_user(
    ec2: Lab, tmp_path: Path, register: Register, kind: str, word: str, rpm: str
) -> None:
    """Told by its publisher's parameter, or found among its publisher's images."""
    assert set(USERS) == set(catalogue.names())
    architecture = "arm64" if word == "arm64" else "x86_64"
    for name, owner in (("Rocky-9-EC2-Base-9.5-1.", "792107900819"), ("AlmaLinux OS 9.5 ", "764336703387")):
        register(f"{name}{rpm}", owner=owner, architecture=architecture)
    register("of Canonical's", owner=CANONICAL, architecture=architecture)
    parameters = set()
    for distribution, user in USERS.items():
        ec2.set()
        driver = Machine(ec2, tmp_path / distribution, distribution=distribution, instance_type=kind).driver
        plan = make_plan(driver.cloud, driver.options, driver.context)
        (image,) = ec2.client().describe_images(ImageIds=[plan.image])["Images"]
        assert (plan.user, image["Architecture"]) == (user, architecture)
        parameters |= {ec2.asked("GetParameter")["Name"]} if "GetParameter" in ec2.log() else set()
    assert len(parameters) == 5
    assert all(word in name or architecture in name for name in parameters)


@pytest.mark.parametrize(("kind", "word"), [("t3.micro", "amd64"), ("t4g.micro", "arm64")])
def test_without_a_parameter_the_publishers_newest_is_taken(
    ec2: Lab, tmp_path: Path, register: Register, kind: str, word: str
) -> None:
    """Of the right architecture, not deprecated, available, by name and by owner."""
    ec2.set(no_parameters=True)
    wanted = {
        word: register(
            f"{PREFIX}{word}-server-20250601", owner=CANONICAL, date="2025-06-01T00:00:00", architecture=architecture
        )
        for word, architecture in (("amd64", "x86_64"), ("arm64", "arm64"))
    }
    for arch, architecture in (("amd64", "x86_64"), ("arm64", "arm64")):
        name = f"{PREFIX}{arch}-server-"
        given: dict[str, Any] = {"architecture": architecture, "owner": CANONICAL}
        register(f"{name}20250101", date="2025-01-01T00:00:00", **given)
        register(f"{name}20250701", date="2025-07-01T00:00:00", deprecated="2025-08-01T00:00:00.000Z", **given)
        register(f"{name}20250702", date="2025-07-02T00:00:00", state="pending", **given)
        register(f"{name}20250703", date="2025-07-03T00:00:00", architecture=architecture, owner="666666666666")
        register(f"{name}20250704", date="2025-07-04T00:00:00", architecture=architecture)  # the account's own
        register(f"ubuntu/images/other-{arch}-20250705", date="2025-07-05T00:00:00", **given)
    machine = Machine(ec2, tmp_path, instance_type=kind)
    machine.create()
    assert machine.instance()["ImageId"] == wanted[word]
    assert machine.resources["plan"]["user"] == "ubuntu"


def test_one_that_will_be_deprecated_is_not_yet(ec2: Lab, tmp_path: Path, register: Register) -> None:
    ec2.set(no_parameters=True)
    future = {"owner": CANONICAL, "date": "2025-06-01T00:00:00", "deprecated": "2999-01-01T00:00:00.000Z"}
    made = register(f"{PREFIX}amd64-server-20250601", **future)
    machine = Machine(ec2, tmp_path)
    machine.create()
    assert machine.instance()["ImageId"] == made


def test_parameters_that_may_not_be_read_are_no_obstacle(ec2: Lab, tmp_path: Path, register: Register) -> None:
    ec2.set(denied=["GetParameter"])
    made = register(f"{PREFIX}amd64-server-20250601", owner=CANONICAL, date="2025-06-01T00:00:00")
    machine = Machine(ec2, tmp_path)
    machine.create()
    assert machine.instance()["ImageId"] == made


@pytest.mark.parametrize(
    ("facts", "options", "problem"),
    [
        ({"state": "pending"}, {}, "is pending in us-east-1"),
        ({"state": "failed"}, {}, "is failed in us-east-1"),
        ({"platform": "windows"}, {}, "is an image of Windows"),
        ({"architecture": "arm64"}, {}, "is for arm64, but t3.micro is x86_64"),
        ({}, {"instance_type": "t4g.micro"}, "is for x86_64, but t4g.micro is arm64"),
    ],
)
def test_an_image_by_its_id_is_checked(
    ec2: Lab, tmp_path: Path, register: Register, facts: dict[str, str], options: dict[str, Any], problem: str
) -> None:
    made = register("golden", **facts)
    with pytest.raises(InvalidOption, match=f"--amazonec2-ami: {made} {problem}"):
        Machine(ec2, tmp_path, ami=made, **options).driver.pre_create_check()


def test_an_image_by_its_id_may_be_deprecated(ec2: Lab, tmp_path: Path, register: Register) -> None:
    """EC2 launches it; only searches leave it out."""
    made = register("golden-debian-12", owner="666666666666", deprecated="2025-08-01T00:00:00.000Z")
    machine = Machine(ec2, tmp_path, ami=made)
    machine.create()
    assert (machine.instance()["ImageId"], machine.resources["plan"]["user"]) == (made, "admin")
