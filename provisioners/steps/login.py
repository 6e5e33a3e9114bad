"""The login user's way to the engine's socket, for a docker that comes by SSH."""

from __future__ import annotations

from collections.abc import Sequence

from pymachine.provisioners.actions import Action, Run
from pymachine.provisioners.base import Wanted
from pymachine.provisioners.facts import Facts

JOIN = (
    "getent group docker >/dev/null 2>&1 || groupadd --system docker 2>/dev/null || addgroup -S docker || exit 1; "
    'usermod -a -G docker "$1" 2>/dev/null || addgroup "$1" docker'
)
"""With the tools of shadow, else with busybox's."""


class Login:
    """Puts the user who logs in, and who may do everything by sudo anyway, into the group that has the socket. On hosts
    that were there before, who is in that group is not ours to say."""

    name = "login"
    title = "Letting the login user use the engine"

    def plan(self, facts: Facts, wanted: Wanted) -> Sequence[Action]:
        if wanted.plan.adopted or facts.login in ("", "root") or facts.login_in_group:
            return ()
        return (Run(("sh", "-c", JOIN, "sh", facts.login)),)
