"""The engine release on the host: uploaded by digest, byte-compiled there, switched by a link."""

from __future__ import annotations

from collections.abc import Sequence

from pymachine.provisioners import paths
from pymachine.provisioners.actions import Action, Run
from pymachine.provisioners.base import Wanted
from pymachine.provisioners.facts import Facts

KEPT_RELEASES = 3
"""Releases kept on a host, the current one among them: what a rollback needs, and no more."""


class EngineRelease:
    """Uploads what the host lacks and points ``current`` at it."""

    name = "release"
    title = "Installing the engine"

    def plan(self, facts: Facts, wanted: Wanted) -> Sequence[Action]:
        digest = wanted.release.digest
        actions: list[Action] = []
        if digest not in facts.releases:
            actions.append(self._unpack(facts, wanted))
            if facts.selinux in ("Enforcing", "Permissive") and "restorecon" in facts.programs:
                # A file keeps the label it was made with when it is renamed (restorecon(8)).
                actions.append(Run(("restorecon", "-R", f"{paths.RELEASES}/{digest}")))
        if facts.current_release != digest:
            # A link is replaced by rename(2), so there is never none (ln -sf removes first).
            link, new = paths.CURRENT, f"{paths.CURRENT}.new"
            actions.append(Run(shell=f"ln -sfn {paths.RELEASES}/{digest} {new} && mv -T {new} {link}"))
        stale = [name for name in facts.releases if name not in (digest, facts.current_release)][KEPT_RELEASES - 2 :]
        if actions and stale:
            actions.append(Run(("rm", "-rf", *(f"{paths.RELEASES}/{name}" for name in stale))))
        return actions

    def _unpack(self, facts: Facts, wanted: Wanted) -> Action:
        """Into a folder of its own beside its place, renamed when whole: a cut connection leaves no half release, and
        two that unpack at once (the one of a killed command lives on) do not meet.

        ``unchecked-hash``: the files never change, so imports need not look at their times.
        """
        python = facts.python or "python3"
        script = (
            f"set -e; cd {paths.RELEASES} 2>/dev/null || {{ mkdir -p {paths.RELEASES}; cd {paths.RELEASES}; }}; "
            f"new=$(mktemp -d .{wanted.release.digest}.XXXXXX); trap 'rm -rf $new' EXIT; "
            "tar -xzf - --no-same-owner -C $new; chmod -R go-w $new; chmod 755 $new; "
            f"{python} -I -S -m compileall -q -j 0 --invalidation-mode unchecked-hash $new/lib; "
            f"sync -f $new; mv -T $new {wanted.release.digest} || test -d {wanted.release.digest}/lib"
        )
        return Run(shell=script, stdin=wanted.release.archive)
