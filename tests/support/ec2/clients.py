"""boto3's clients, made once for all processes that tests kill: making them takes 0.1 s in each."""

from __future__ import annotations

import os
from typing import Any

from pymachine.drivers.amazonec2 import cloud
from pymachine.drivers.amazonec2.cloud import Account


class Clients:
    """In the place of `pymachine.drivers.amazonec2.cloud._client`. A forked process gets clients that its parent made
    and never used, so that no connection is shared."""

    def __init__(self) -> None:
        self._make = cloud._client.__wrapped__
        self._pid = os.getpid()
        self._own: dict[tuple[Account, str], Any] = {}
        self._for_children: dict[tuple[Account, str], Any] = {}

    def __call__(self, account: Account, service: str) -> Any:
        ours = os.getpid() == self._pid
        for known in (self._for_children, self._own)[: 1 + ours]:
            if (account, service) not in known:
                known[account, service] = self._make(account, service)
        return known[account, service]

    def cache_clear(self) -> None:
        """As a new process."""
        self._own.clear()
        self._for_children.clear()
