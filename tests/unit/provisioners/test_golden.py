"""Golden cases: one JSON file a case — facts, options, and the actions that each step must plan.

To add a case, add a file to ``cases/``. ``facts`` are fields of `Facts` (``os`` of `OSRelease`); anything left
out is as on a freshly booted host of that distribution that has all it needs.
``converged_files`` gives it all files as wanted, but for those named in ``stale_files``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pymachine.machine.config import EngineOptions
from pymachine.provisioners import paths
from pymachine.provisioners.actions import digest
from pymachine.provisioners.base import ProvisionPlan, TLSFiles, Wanted
from pymachine.provisioners.engineconfig import render_config
from pymachine.provisioners.facts import Facts
from pymachine.provisioners.osrelease import OSRelease
from pymachine.provisioners.release import Release
from pymachine.provisioners.steps import STEPS
from pymachine.provisioners.steps.config import Config

CASES = sorted((Path(__file__).parent / "cases").glob("*.json"))
RELEASE = Release("d" * 64, "1.0", b"archive")


def _plan(tmp_path: Path, options: dict[str, Any]) -> ProvisionPlan:
    files = [tmp_path / name for name in ("ca.pem", "server.pem", "server-key.pem")]
    for path in files:
        path.write_text(path.name)
    return ProvisionPlan("web-1", "local", EngineOptions.from_json(options), TLSFiles(*files))


def _facts(given: dict[str, Any], plan: ProvisionPlan) -> Facts:
    fresh: dict[str, Any] = {
        "hostname": "debian",
        "etc_hostname": "debian",
        "hosts": "127.0.0.1 localhost",
        "pid1": "systemd",
        "python": "/usr/bin/python3",
        "python_versions": ["3.11"],
        "programs": {"iptables-restore": "/usr/sbin/iptables-restore", "systemctl": "/usr/bin/systemctl"},
        "has_seccomp": True,
    }
    values = fresh | given
    converged, stale = values.pop("converged_files", False), values.pop("stale_files", [])
    values["os"] = OSRelease(**values.get("os", {"id": "debian", "version_id": "12"}))
    values["python_versions"] = tuple(values["python_versions"])
    values["releases"] = tuple(values.get("releases", ()))
    facts = Facts(**values)
    if not converged:
        return facts
    unit = Config()._unit(facts, Wanted(plan, RELEASE))
    content = {
        paths.CA: b"ca.pem",
        paths.SERVER_CERT: b"server.pem",
        paths.SERVER_KEY: b"server-key.pem",
        paths.ENGINE_CONFIG: render_config(plan),
        paths.ENGINE_UNIT: unit,
    }
    modes = {path: 0o600 if path == paths.SERVER_KEY else 0o644 for path in content}
    return replace(
        facts, files={path: digest(data) for path, data in content.items() if path not in stale}, modes=modes
    )


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_each_step_plans_the_actions_of_its_case(path: Path, tmp_path: Path) -> None:
    case = json.loads(path.read_text())
    plan = _plan(tmp_path, case.get("engine", {}))
    facts = _facts(case["facts"], plan)

    planned: dict[str, list[str]] = {}
    wanted = Wanted(plan, RELEASE)
    for step in STEPS:
        actions = step.plan(facts, wanted)
        if actions:
            planned[step.name] = [action.describe() for action in actions]
            wanted = replace(wanted, changed=(*wanted.changed, step.name))

    assert planned == case["actions"]
