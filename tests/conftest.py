"""For all suites: ``make test`` allows no test to be skipped for want of a program, since it installs them all."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

import pytest

ALLOWED = ("this kernel", "this computer", "no control groups version", "no memory and pids controllers")
"""How a reason begins that no installation can mend."""


NETWORK = os.readlink("/proc/self/ns/net") if os.path.exists("/proc/self/ns/net") else ""
"""The network namespace in which the tests began."""


LONGEST = ("libvirt", "amazonec2")
"""Folders whose files take longest, and so begin first when several run at once."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(name) if (name := item.path.parent.name) in LONGEST else len(LONGEST))


def pytest_configure() -> None:
    """A shell's background job ignores Ctrl-C, and so would all that tests start and want to interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_logstart(nodeid: str) -> None:
    """A fixture that leaves the process in its own namespace would send all later tests astray."""
    if NETWORK and os.readlink("/proc/self/ns/net") != NETWORK:
        pytest.exit(f"a test before {nodeid} left the process in another network namespace", returncode=1)


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
