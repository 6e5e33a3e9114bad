"""The shells and programs that hosts have as ``sh``: the question for facts is one that all of them understand."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pymachine.provisioners.facts import Facts, facts_script, parse_facts

pytestmark = pytest.mark.root


def gathered(shell: Sequence[str], place: Path | None = None, script: str = "") -> Facts:
    """What the script finds out when *shell* runs it, with the programs in *place* before all others."""
    env = {"PATH": f"{place}:{os.environ['PATH']}"} if place else None
    script = script or facts_script()
    done = subprocess.run([*shell, "-s"], input=script, capture_output=True, text=True, env=env)
    assert done.stderr == ""
    return parse_facts(done.stdout)


def test_all_find_out_the_same(tmp_path: Path) -> None:
    """Debian's sh, bash as SUSE and Arch have it, and Alpine's: busybox, with all of its programs."""
    busybox = shutil.which("busybox")
    assert busybox
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        (tmp_path / applet).symlink_to(busybox)
    expected = gathered(["dash"])

    assert {"stat", "sha256sum", "awk"} <= set(applets)
    for facts in (gathered(["bash", "--posix"]), gathered([busybox, "ash"], tmp_path)):
        assert set(facts.programs) >= set(expected.programs)
        # Others may begin to listen at any time.
        assert replace(facts, programs={}, listening=frozenset()) == replace(
            expected, programs={}, listening=frozenset()
        )


def test_a_sealed_system_and_a_kernel_without_addrtype_are_told(tmp_path: Path) -> None:
    """In a mount namespace in which /usr is read-only, with the modules of some other kernel."""
    modules = tmp_path / os.uname().release
    modules.mkdir()
    script = facts_script().replace("/sys/module/xt_addrtype", "/nonexistent").replace("/lib/modules", str(tmp_path))
    seal = "mount --bind /usr /usr && mount -o remount,bind,ro /usr && exec sh -s"
    for listed, lacking in (("kernel/net/bridge.ko.xz:\n", True), ("extra/netfilter/xt_addrtype.ko.xz:\n", False)):
        (modules / "modules.dep").write_text(listed)
        facts = gathered(["unshare", "--mount", "sh", "-c", seal], script=script)

        assert (facts.sealed, facts.lacks_addrtype) == (True, lacking)
