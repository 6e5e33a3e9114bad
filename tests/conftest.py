"""For all suites: ``make test`` allows no test to be skipped for want of a program, since it installs them all."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

ALLOWED = ("this kernel", "this computer", "no control groups version", "no memory and pids controllers")
"""How a reason begins that no installation can mend."""


def _reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(report.longrepr)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get("PYMACHINE_NO_SKIPS") and not hasattr(report, "wasxfail"):
        reason = _reason(report)
        if not reason.startswith(ALLOWED):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} was skipped, but `make test` installs what it needs: {reason}"
    return report
