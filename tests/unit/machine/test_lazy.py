"""What common commands import: heavy libraries would be felt in every prompt and script."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.program import environment

HEAVY = ("asyncio", "boto3", "botocore", "cryptography", "jinja2", "libvirt", "paramiko")

PROBE = f"""
import sys
from pymachine.machine.cli.app import run
code = run(sys.argv[1:])
print(*sorted(name for name in {HEAVY!r} if name in sys.modules), code, file=sys.stderr)
"""


@pytest.mark.parametrize(
    "args", [["--help"], ["ls"], ["ls", "-q"], ["status", "m"], ["env", "-u"], ["version"], ["create", "--help"]]
)
def test_nothing_heavy_is_imported(args: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, "-s", str(tmp_path / "store"), *args],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
    )

    assert done.stderr.splitlines()[-1] in ("0", "1"), done.stderr
