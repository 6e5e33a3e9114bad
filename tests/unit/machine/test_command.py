"""Command lines as docker-machine's users type them."""

import click
import pytest

from pymachine.machine.cli.command import two_dashes
from pymachine.machine.cli.driverflags import chosen_driver

PARAMS: list[click.Parameter] = [
    click.Option(["-d", "--driver"]),
    click.Option(["-f", "--force"], is_flag=True),
    click.Option(["--engine-opt"], multiple=True),
]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["-driver", "none", "m"], ["--driver", "none", "m"]),
        (["-driver=none"], ["--driver=none"]),
        (["-d=none"], ["-d", "none"]),
        (["-d", "none", "-f"], ["-d", "none", "-f"]),
        (["-engine-opt", "a=b"], ["--engine-opt", "a=b"]),
        (["-unknown"], ["-unknown"]),
        (["--", "-driver"], ["--", "-driver"]),
        (["-"], ["-"]),
    ],
)
def test_one_dash_does(typed: list[str], meant: list[str]) -> None:
    assert two_dashes(typed, PARAMS) == meant


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
