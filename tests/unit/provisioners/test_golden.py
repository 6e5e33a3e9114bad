"""Golden cases: one JSON file a case — facts, options, and the actions that each step must plan.

To add a case, add a file to ``cases/``. ``os_release`` has lines of the distribution's /etc/os-release (Debian 12's
when left out). ``facts`` are fields of `Facts`; anything left out is as on a freshly booted host that has all it
needs. ``converged_files`` gives it all files as wanted, but for those named in ``stale_files``. ``after_packages``
says what facts are others once packages are installed, ``plan`` sets fields of `ProvisionPlan`. Instead of
``actions`` a case may have ``refused``: the error, and its hint.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pymachine.machine.config import EngineOptions
from pymachine.machine.errors import ProvisionError
from pymachine.provisioners import paths
from pymachine.provisioners.actions import digest
from pymachine.provisioners.admission import admit
from pymachine.provisioners.base import ProvisionPlan, TLSFiles, Wanted
from pymachine.provisioners.engineconfig import render_config
from pymachine.provisioners.facts import Facts
from pymachine.provisioners.neighbours import beside_docker
from pymachine.provisioners.osrelease import parse_os_release
from pymachine.provisioners.ownership import owner_note
from pymachine.provisioners.release import Release
from pymachine.provisioners.services import manager_of, service_text
from pymachine.provisioners.steps import STEPS

CASES = sorted((Path(__file__).parent / "cases").glob("*.json"))
RELEASE = Release("d" * 64, "1.0", b"archive")
DEBIAN = ["ID=debian", 'VERSION_ID="12"', "VERSION_CODENAME=bookworm"]
PROGRAMS = ("iptables-restore", "systemctl", "hostname", "apt-get")


def _plan(tmp_path: Path, case: dict[str, Any]) -> ProvisionPlan:
    files = [tmp_path / name for name in ("ca.pem", "server.pem", "server-key.pem")]
    for path in files:
        path.write_text(path.name)
    engine = EngineOptions.from_json(case.get("engine", {}))
    ours = {"store_id": "store-1", "client": "ann@laptop"} | case.get("plan", {})
    return ProvisionPlan("web-1", "local", engine, TLSFiles(*files), **ours)


def _facts(case: dict[str, Any], plan: ProvisionPlan) -> Facts:
    fresh: dict[str, Any] = {
        "hostname": "fresh",
        "etc_hostname": "fresh",
        "hosts": "127.0.0.1 localhost",
        "pid1": "systemd",
        "python": "/usr/bin/python3",
        "python_versions": ["3.11"],
        "programs": PROGRAMS,
        "has_seccomp": True,
    }
    values = fresh | case["facts"]
    converged, stale = values.pop("converged_files", False), values.pop("stale_files", [])
    values["os"] = parse_os_release("\n".join(case.get("os_release", DEBIAN)))
    values["programs"] = {name: f"/usr/bin/{name}" for name in values["programs"]}
    values["listening"] = frozenset(values.get("listening", ()))
    typed: dict[str, Any] = {name: tuple(it) if isinstance(it, list) else it for name, it in values.items()}
    facts = Facts(**typed)
    if not converged:
        return facts
    beside = beside_docker(facts)
    content = {
        paths.CA: b"ca.pem",
        paths.SERVER_CERT: b"server.pem",
        paths.SERVER_KEY: b"server-key.pem",
        paths.ENGINE_CONFIG: render_config(plan, beside_docker=beside),
        manager_of(facts).file: service_text(facts, ()),
        paths.OWNER: owner_note(plan),
    }
    modes = {path: 0o600 if path == paths.SERVER_KEY else 0o644 for path in content}
    files = {path: digest(b"old" if path in stale else data) for path, data in content.items()}
    return replace(facts, files=files, modes=modes)


def _planned(facts: Facts, plan: ProvisionPlan, case: dict[str, Any]) -> dict[str, list[str]]:
    """What `converge.provision` would send, step by step."""
    planned: dict[str, list[str]] = {}
    wanted = Wanted(plan, RELEASE)
    for step in STEPS:
        actions = step.plan(facts, wanted)
        if actions:
            planned[step.name] = [action.describe() for action in actions]
            wanted = replace(wanted, changed=(*wanted.changed, step.name))
        if actions and step.name == "packages":
            facts = replace(facts, **case.get("after_packages", {}))
    return planned


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_each_step_plans_the_actions_of_its_case(path: Path, tmp_path: Path) -> None:
    case = json.loads(path.read_text())
    plan = _plan(tmp_path, case)
    facts = _facts(case, plan)
    if "refused" in case:
        with pytest.raises(ProvisionError) as caught:
            admit(facts, plan)
        assert [str(caught.value), caught.value.hint] == case["refused"]
        return

    admit(facts, plan)
    assert _planned(facts, plan, case) == case["actions"]


NAMED = {
    "debian": {"12": "", "13": "", "11": "refused"},
    "raspbian": {"12": "", "11": "refused"},
    "ubuntu": {"24.04": "", "22.04": "python3.11", "20.04": "refused"},
    "rhel": {"10": "", "9": "python3.12", "8": "python3.12", "7": "refused"},
    "almalinux": {"10": "", "9": "python3.12", "8": "python3.12"},
    "rocky": {"10": "", "9": "python3.12", "8": "python3.12"},
    "fedora": {"41": "", "36": "refused"},
    "amzn": {"2023": "python3.13", "2": "refused"},
    "opensuse-leap": {"16": "python3", "15.6": "python311", "15.3": "refused"},
    "opensuse-tumbleweed": {"": "python3"},
    "sles": {"16": "", "15.6": "python311", "15.3": "refused", "12": "refused"},
    "alpine": {"3.20": "python3", "3.18": "python3", "3.17": "refused"},
    "arch": {"": "python"},
}
"""What users are promised: hosts of the release with this number get this package for a Python, or are refused; where
nothing stands the release's own Python is new enough."""


@pytest.mark.parametrize("distribution", NAMED)
def test_each_distribution_that_is_named_has_its_cases(distribution: str) -> None:
    cases = [json.loads(path.read_text()) for path in CASES]
    for version, python in NAMED[distribution].items():
        outcomes = [_outcome(case) for case in cases if _is_of(case, distribution, version)]

        assert python in outcomes, (distribution, version, outcomes)


def _is_of(case: dict[str, Any], distribution: str, version: str) -> bool:
    release = parse_os_release("\n".join(case.get("os_release", DEBIAN)))
    return release.id == distribution and f"{release.version_id}.".startswith(f"{version}." if version else "")


def _outcome(case: dict[str, Any]) -> str:
    if "refused" in case:
        return "refused"
    words = " ".join(case["actions"].get("packages", [])).split()
    return next((word for word in words if word.startswith("python")), "")
