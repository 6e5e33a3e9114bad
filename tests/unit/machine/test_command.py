"""Command lines as docker-machine's users type them."""

import click
import pytest

from pymachine.machine.cli.command import spelled
from pymachine.machine.cli.create import create
from pymachine.machine.cli.driverflags import chosen_driver, given
from pymachine.machine.errors import UsageError

PARAMS: list[click.Parameter] = [
    click.Option(["-d", "--driver"]),
    click.Option(["-f", "--force"], is_flag=True),
    click.Option(["--engine-opt"], multiple=True),
    click.Option(["-n"], type=int),
]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["-driver", "none", "m"], ["--driver", "none", "m"]),
        (["-driver=none"], ["--driver", "none"]),
        (["-d=none", "-n=2"], ["--driver", "none", "-n", "2"]),
        (["-d", "none", "-f", "-n", "-1"], ["--driver", "none", "--force", "-n", "-1"]),
        (["-engine-opt", "a=b"], ["--engine-opt", "a=b"]),
        (["-unknown"], ["-unknown"]),
        (["--", "-driver"], ["--", "-driver"]),
        (["-"], ["-"]),
        (["--engine-opt", "-driver", "m"], ["--engine-opt", "-driver", "m"]),
        (["-f=true", "--force=1", "-force=T"], ["--force", "--force", "--force"]),
        (["m", "--driver"], ["m", "--driver"]),
        (["-fd", "none", ""], ["-fd", "none", ""]),
    ],
)
def test_go_spellings_are_clicks(typed: list[str], meant: list[str]) -> None:
    assert spelled(typed, PARAMS) == (meant, set())


@pytest.mark.parametrize(
    ("typed", "off"),
    [(["-f=false"], {"force"}), (["-f", "--force=F"], {"force"}), (["--force=0", "-force"], set())],
)
def test_the_last_one_decides_whether_a_flag_is_on(typed: list[str], off: set[str]) -> None:
    assert spelled(typed, PARAMS)[1] == off


def test_a_truth_value_that_is_none() -> None:
    with pytest.raises(click.BadOptionUsage, match=r"Option '--force': 'maybe' is neither true nor false\."):
        spelled(["-force=maybe"], PARAMS)


def test_a_drivers_flag_that_is_off_was_given() -> None:
    """So that it counts more than the environment's."""
    parsed = create.make_context("create", ["m", "-d", "generic", "--generic-keep-hostname=false"])

    assert given(parsed) == {"keep_hostname": False}
    assert given(create.make_context("create", ["m", "-d", "generic"])) == {}


def test_former_flags_of_a_driver_are_taken_or_refused_with_the_remedy() -> None:
    aws = ["m", "-d", "amazonec2", "--amazonec2-retries", "5", "--amazonec2-insecure-transport"]
    parsed = create.make_context("create", [*aws, "--amazonec2-region", "eu-west-1"])

    assert given(parsed) == {"region": "eu-west-1"}
    with pytest.raises(UsageError, match="--amazonec2-secret-key: secrets are taken neither") as caught:
        create.make_context("create", [*aws, "--amazonec2-secret-key", "s3cret"])
    assert "AWS_SECRET_ACCESS_KEY" in caught.value.hint
    assert "s3cret" not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize(
    ("args", "environ", "driver"),
    [
        ([], {}, "local"),
        ([], {"MACHINE_DRIVER": "none"}, "none"),
        (["-d", "x", "m"], {"MACHINE_DRIVER": "none"}, "x"),
        (["m", "--driver=x"], {}, "x"),
        (["-d=x"], {}, "x"),
        (["-driver", "x"], {}, "x"),
        (["-d", "x", "-d", "y"], {}, "y"),
        (["--", "-d", "x"], {}, "local"),
        (["-d"], {}, "local"),
    ],
)
def test_the_driver_is_found_before_the_line_is_parsed(args: list[str], environ: dict[str, str], driver: str) -> None:
    assert chosen_driver(args, environ) == driver
