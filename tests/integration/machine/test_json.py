"""What every reading command prints with ``--format json`` fits its published schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from support.certificates import Authority
from support.fleet import REFUSED, engines, make_fleet, set_urls
from support.program import Program
from support.schemas import check, load, names

ENGINE_VERSION = "1.2.3"


@dataclass(frozen=True)
class Fleet:
    """m0's engine answers, m1's does not; m2's record is damaged."""

    program: Program
    url: str


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    store = make_fleet(tmp_path_factory.mktemp("json") / "store", [REFUSED] * 3)
    with engines(store, 1) as urls:
        set_urls(store, urls)
        (store.machine_dir("m2") / "record.json").write_text("{")
        yield Fleet(Program(store.root), urls[0])


@pytest.mark.parametrize("name", names())
def test_every_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(load(name))
    assert load(name)["$id"] == f"pymachine:{name}.json"


def test_ls(fleet: Fleet) -> None:
    rows = check("ls", fleet.program.ok("ls", "--format", "json", env={"DOCKER_HOST": fleet.url}))

    assert [(row["Name"], row["State"], row["Active"], row["DockerVersion"]) for row in rows] == [
        ("m0", "Running", "*", f"v{ENGINE_VERSION}"),
        ("m1", "Running", "-", "Unknown"),
        ("m2", "Error", "-", "Unknown"),
    ]
    assert rows[0]["CertificateExpires"]
    assert "Connection refused" in rows[1]["Error"]
    assert rows[2]["CertificateExpires"] is None


def test_inspect(fleet: Fleet) -> None:
    document = check("inspect", fleet.program.ok("inspect", "--format", "json", "m0"))

    assert document == check("inspect", fleet.program.ok("inspect", "m0"))
    assert document["Driver"]["URL"] == fleet.url


def test_status_and_url(fleet: Fleet) -> None:
    assert check("status", fleet.program.ok("status", "--format=json", "m0")) == {"Name": "m0", "State": "Running"}
    assert check("url", fleet.program.ok("url", "--format=json", "m0")) == {"Name": "m0", "URL": fleet.url}


def test_ip_tells_of_each_machine_what_it_can(fleet: Fleet) -> None:
    store = fleet.program.store
    record = (store / "machines" / "m1" / "record.json").read_text()
    (store / "machines" / "m1" / "record.json").write_text(record.replace(REFUSED, "unix:///run/x.sock"))
    try:
        done = fleet.program.run("ip", "--format", "json", "m0", "m1")
    finally:
        (store / "machines" / "m1" / "record.json").write_text(record)
    rows = check("ip", done.stdout)

    assert done.returncode == 1
    assert rows[0] == {"Name": "m0", "Address": fleet.url.removeprefix("tcp://"), "Error": ""}
    assert rows[1]["Address"] is None
    assert rows[1]["Error"] in done.stderr


def test_env_set_and_unset(fleet: Fleet) -> None:
    values = check("env", fleet.program.ok("env", "--format", "json", "m0", env={"SHELL": ""}))["Variables"]
    unset = check("env", fleet.program.ok("env", "--format", "json", "-u"))["Variables"]

    assert values["DOCKER_HOST"] == fleet.url
    assert unset == dict.fromkeys(values)


def test_config(fleet: Fleet) -> None:
    document = check("config", fleet.program.ok("config", "--format", "json", "m0"))

    assert (document["Name"], document["Host"], document["TLSVerify"]) == ("m0", fleet.url, True)
    assert all(Path(document[name]).is_file() for name in ("TLSCACert", "TLSCert", "TLSKey"))


def test_active(fleet: Fleet) -> None:
    output = fleet.program.ok("active", "--format", "json", env={"DOCKER_HOST": fleet.url})

    assert check("active", output) == {"Name": "m0"}


def test_version(fleet: Fleet) -> None:
    assert check("version", fleet.program.ok("version", "--format", "json"))["Name"] is None
    assert check("version", fleet.program.ok("version", "--format", "json", "m0")) == {
        "Name": "m0",
        "Version": ENGINE_VERSION,
    }


def test_image_ls(fleet: Fleet, tmp_path: Path) -> None:
    env = {"PYMACHINE_IMAGE_ROOT": str(tmp_path)}
    assert check("image-ls", fleet.program.ok("image", "ls", "--format", "json", env=env)) == []


@pytest.mark.root
def test_image_ls_with_an_image(fleet: Fleet, images: str) -> None:
    env = {"PYMACHINE_IMAGE_ROOT": images}
    rows = check("image-ls", fleet.program.ok("image", "ls", "--format", "json", env=env))

    assert "debian-12" in [name for row in rows for name in row["Names"]]


def test_context_ls(fleet: Fleet, tmp_path: Path) -> None:
    env = {"DOCKER_CONFIG": str(tmp_path)}
    fleet.program.ok("context", "create", "m0", env=env)
    rows = check("context-ls", fleet.program.ok("context", "ls", "--format", "json", env=env))

    assert [(row["Machine"], row["Kind"], row["Current"]) for row in rows] == [("m0", "tls", False), ("m1", "", False)]


def test_the_plan_of_apply(fleet: Fleet, tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(f'fleet: web\nmachines:\n  n: {{driver: none, count: 2, options: {{url: "{REFUSED}"}}}}\n')
    plan = check("apply", fleet.program.ok("apply", "-f", str(path), "--dry-run", "--format", "json"))

    assert (plan["Fleet"], plan["File"], plan["Idle"]) == ("web", str(path), False)
    assert [(step["Name"], step["Action"]) for step in plan["Steps"]] == [("n-1", "create"), ("n-2", "create")]
    assert fleet.program.run("apply", "-f", str(path), "-y", "--format", "json").returncode == 2


def test_certificates_that_will_expire_are_seen_in_the_list(tmp_path: Path) -> None:
    """The test's own are good for a day; the engine answers all the same."""
    store = make_fleet(tmp_path / "store", [REFUSED])
    directory = store.machine_dir("m0")
    authority = Authority.make(directory)
    for name, path in zip(("cert.pem", "key.pem"), authority.issue("client"), strict=True):
        path.replace(directory / name)
    authority.issue("server", "127.0.0.1")
    with engines(store, 1) as urls:
        set_urls(store, urls)
        (row,) = check("ls", Program(store.root).ok("ls", "--format", "json"))
        table = Program(store.root).ok("ls")

    assert row["DockerVersion"] == f"v{ENGINE_VERSION}"
    day = row["CertificateExpires"][:10]
    assert row["Error"].endswith(f" expires on {day}")
    assert row["Error"] in table
