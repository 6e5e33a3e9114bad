"""Seccomp profiles: conditions are settled, nonsense is refused, and the default is what it should be."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from pymachine.engine.runtime import defaults, seccompdefault, seccompile
from pymachine.engine.runtime.base import StartFailed
from pymachine.engine.runtime.capabilities import NAMES
from pymachine.engine.runtime.seccomp import Cache
from pymachine.engine.runtime.seccompprofile import ACTIONS, Comparison, Profile, Situation, load, parse
from pymachine.engine.runtime.spec import Process

HERE = Situation(frozenset({"CAP_CHOWN"}), "x86_64", (5, 10))
ALLOW = ACTIONS["SCMP_ACT_ALLOW"]


def allowed(profile: Profile) -> set[str]:
    return {name for rule in profile.rules if rule.action == ALLOW for name in rule.names}


def rule(**more: Any) -> dict[str, Any]:
    return {"names": ["read"], "action": "SCMP_ACT_ALLOW", **more}


def profile(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": list(rules), **more}


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({}, True),
        ({"includes": {"caps": ["CAP_CHOWN"]}}, True),
        ({"includes": {"caps": ["CAP_CHOWN", "CAP_KILL"]}}, False),
        ({"excludes": {"caps": ["CAP_CHOWN", "CAP_KILL"]}}, False),
        ({"excludes": {"caps": ["CAP_KILL"]}}, True),
        ({"includes": {"arches": ["arm64"]}}, False),
        ({"includes": {"arches": ["amd64", "x32"]}}, True),
        ({"includes": {"minKernel": "4.8"}}, True),
        ({"includes": {"minKernel": "5.11"}}, False),
        ({"includes": {"minKernel": "4.8", "caps": ["CAP_KILL"]}}, False),
        ({"excludes": {}, "includes": None}, True),
    ],
)
def test_conditions_decide_whether_a_rule_counts(conditions: dict[str, Any], holds: bool) -> None:
    assert bool(parse(profile(rule(**conditions)), HERE).rules) is holds


def test_an_errno_is_part_of_the_action() -> None:
    found = parse(profile(rule(action="SCMP_ACT_ERRNO", errnoRet=38), defaultErrnoRet=5), HERE)
    assert found.default_action == 0x00050005
    assert found.rules[0].action == 0x00050026
    assert parse(profile(), HERE).default_action == 0x00050001


def test_arguments_and_architectures_are_read() -> None:
    document = profile(
        rule(args=[{"index": 1, "value": 8, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}]),
        archMap=[
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        ],
    )
    found = parse(document, HERE)
    assert found.rules[0].comparisons == (Comparison(1, 7, 8, 2),)
    assert found.architectures == ("x86", "x32")


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"defaultAction": "NO"},
        profile(rule(action="NO")),
        profile(rule(action=None)),
        profile(rule(names="read")),
        profile(rule(names=[7])),
        profile(rule(args=[{"op": "NO"}])),
        profile(rule(args=[{"op": "SCMP_CMP_EQ", "index": 6}])),
        profile(rule(args=[{"op": "SCMP_CMP_EQ", "value": -1}])),
        profile(rule(args=[{"op": "SCMP_CMP_EQ", "value": "1"}])),
        profile(rule(args=["x"])),
        profile(rule(includes=["x"])),
        profile(rule(includes={"minKernel": "new"})),
        profile(syscalls="all"),
    ],
)
def test_nonsense_is_refused(document: Any) -> None:
    with pytest.raises(ValueError):
        parse(document, HERE)


def test_the_default_lets_programs_work_and_keeps_the_host_closed() -> None:
    names = allowed(load("default", frozenset(defaults.CAPABILITIES)))
    assert {"read", "execve", "clone", "futex", "openat2", "socket", "chroot", "ptrace"} <= names
    assert not names & {
        "mount", "umount2", "unshare", "setns", "keyctl", "add_key", "bpf", "kexec_load", "init_module", "reboot",
        "swapon", "userfaultfd", "io_uring_setup", "open_by_handle_at", "clone3", "perf_event_open", "acct",
    }  # fmt: skip


def test_capabilities_open_their_calls() -> None:
    names = allowed(load("default", frozenset(NAMES)))
    assert {"mount", "unshare", "setns", "bpf", "reboot", "clone3", "open_by_handle_at", "init_module"} <= names
    assert "keyctl" not in names


def test_clone3_is_as_if_the_kernel_had_none() -> None:
    rules = [rule for rule in load("default", frozenset()).rules if "clone3" in rule.names]
    assert [rule.action & 0xFFFF for rule in rules] == [38]


def test_docker_s_format_of_the_default_can_be_given_as_a_profile() -> None:
    text = json.dumps(seccompdefault.profile())
    assert load(text, frozenset({"CAP_BPF"})) == load("default", frozenset({"CAP_BPF"}))


def test_a_filter_is_compiled_once_and_kept_as_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Profile] = []
    real = seccompile.compile_profile

    def compile_once(profile: Profile) -> bytes:
        compiled.append(profile)
        return real(profile)

    monkeypatch.setattr(seccompile, "compile_profile", compile_once)
    process = Process(("true",), capabilities=defaults.CAPABILITIES)

    async def ask(cache: Cache) -> list[str]:
        return await asyncio.gather(*(cache.program_for(process) for _ in range(5)))

    paths = asyncio.run(ask(Cache(tmp_path / "seccomp"))) + asyncio.run(ask(Cache(tmp_path / "seccomp")))
    assert len(set(paths)) == 1
    assert len(compiled) == 1
    assert Path(paths[0]).stat().st_mode & 0o777 == 0o600
    assert len(Path(paths[0]).read_bytes()) % 8 == 0


def test_a_profile_that_cannot_be_used_fails_the_start(tmp_path: Path) -> None:
    process = Process(("true",), seccomp='{"defaultAction": 1}')
    with pytest.raises(StartFailed, match="seccomp: unknown action 1"):
        asyncio.run(Cache(tmp_path).program_for(process))


def test_unconfined_needs_no_filter(tmp_path: Path) -> None:
    assert asyncio.run(Cache(tmp_path).program_for(Process(("true",), seccomp="unconfined"))) == ""
