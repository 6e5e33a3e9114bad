"""Keeps the host's firewall in step: chains, hooks and rules, by iptables(8) and iptables-restore(8).

Changes that come together are written together: while one ``iptables-restore`` runs, those that arrive wait
and share the next. Works with both variants of the tools (nf_tables and legacy).
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from shutil import which

from pymachine.dockerapi.errors import EngineError
from pymachine.engine.network import rules
from pymachine.engine.network.records import NetworkRecord
from pymachine.engine.network.rules import Chains, Published

_log = logging.getLogger(__name__)
_TIMEOUT = 60.0
"""Seconds that another holder of the xtables lock may keep us waiting."""
_SEARCH = "/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin:/usr/local/bin"


def find_tool(name: str) -> str:
    """The path of *name*; raises `EngineError` naming it when the host has none."""
    if path := which(name) or which(name, path=_SEARCH):
        return path
    raise EngineError(f"{name} was not found: install iptables, or start the engine with --iptables=false")


@dataclass(slots=True)
class _Request:
    added: list[Published]
    removed: list[Published]
    done: asyncio.Future[None]


class Firewall:
    """Our chains, for the engine whose default bridge is *bridge*."""

    def __init__(self, bridge: str) -> None:
        self._chains = Chains(bridge)
        self._networks: list[NetworkRecord] = []
        self._published: dict[Published, None] = {}
        self._lock = asyncio.Lock()
        self._queue: list[_Request] = []
        self._worker: asyncio.Task[None] | None = None

    async def start(self, networks: Sequence[NetworkRecord], published: Sequence[Published]) -> None:
        """Write everything and hook it in; what was there of ours before is replaced without a gap."""
        find_tool("iptables-restore")
        self._networks = list(networks)
        self._published = dict.fromkeys(published)
        async with self._lock:
            await asyncio.to_thread(self._write_all)

    async def set_networks(self, networks: Sequence[NetworkRecord]) -> None:
        """Write everything for another set of networks."""
        self._networks = list(networks)
        async with self._lock:
            await asyncio.to_thread(self._restore, self._everything())

    async def publish(self, ports: Sequence[Published]) -> None:
        """Translate *ports*; raises `EngineError` with iptables' reason."""
        new = [port for port in ports if port not in self._published]
        self._published.update(dict.fromkeys(new))
        await self._submit(new, [])

    async def unpublish(self, ports: Sequence[Published]) -> None:
        """Translate *ports* no longer; fine for those that are not."""
        old = [port for port in ports if port in self._published]
        for port in old:
            del self._published[port]
        await self._submit([], old)

    async def remove(self) -> None:
        """Nothing of ours is left (``DOCKER-USER`` stays when it has rules)."""
        async with self._lock:
            await asyncio.to_thread(self._remove)

    async def _submit(self, added: list[Published], removed: list[Published]) -> None:
        if not added and not removed:
            return
        request = _Request(added, removed, asyncio.get_running_loop().create_future())
        self._queue.append(request)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        await asyncio.shield(request.done)

    async def _work(self) -> None:
        async with self._lock:
            while self._queue:
                batch, self._queue = self._queue, []
                await self._serve(batch)

    async def _serve(self, batch: list[_Request]) -> None:
        """Write a batch; should it be refused, everything anew; should that be refused, find out whose fault."""
        added = [port for request in batch for port in request.added]
        removed = [port for request in batch for port in request.removed]
        try:
            try:
                await asyncio.to_thread(self._restore, rules.change(self._chains, added, removed))
            except EngineError as error:
                _log.info("writing the firewall's rules anew: %s", error)
                await asyncio.to_thread(self._write_all)
        except Exception as error:
            await self._serve_singly(batch, error)
            return
        for request in batch:
            _settle(request)

    async def _serve_singly(self, batch: list[_Request], error: Exception) -> None:
        for request in batch:
            for port in request.added:
                self._published.pop(port, None)
        for request in batch:
            refused = error if len(batch) == 1 else await self._try(request)
            _settle(request, refused)
        # Some tables may hold a refused request's rules already: only what should be is to be there.
        await self._attempt()

    async def _try(self, request: _Request) -> Exception | None:
        self._published.update(dict.fromkeys(request.added))
        if (refused := await self._attempt()) is not None:
            for port in request.added:
                self._published.pop(port, None)
        return refused

    async def _attempt(self) -> Exception | None:
        try:
            await asyncio.to_thread(self._write_all)
        except Exception as error:
            return error
        return None

    def _everything(self) -> str:
        return rules.everything(self._chains, self._networks, list(self._published))

    def _write_all(self) -> None:
        run_tool(["iptables", "--wait", "-N", rules.USER_CHAIN], check=False)
        self._restore(self._everything())
        for table, chain, rule in self._chains.hooks():
            base = ["iptables", "--wait", "-t", table]
            if run_tool([*base, "-C", chain, *rule], check=False):
                run_tool([*base, "-I", chain, *rule])

    def _restore(self, text: str) -> None:
        run_tool(["iptables-restore", "--noflush", "--wait"], text)

    def _remove(self) -> None:
        for table, chain, rule in self._chains.hooks():
            while run_tool(["iptables", "--wait", "-t", table, "-D", chain, *rule], check=False) == 0:
                pass  # a rule may be there more than once
        for action in ("-F", "-X"):
            for table, chain in self._chains.owned():
                run_tool(["iptables", "--wait", "-t", table, action, chain], check=False)
        run_tool(["iptables", "--wait", "-X", rules.USER_CHAIN], check=False)


def _settle(request: _Request, error: Exception | None = None) -> None:
    if request.done.done():
        return
    if error is None:
        request.done.set_result(None)
    else:
        request.done.set_exception(error)


def run_tool(command: list[str], text: str = "", *, check: bool = True) -> int:
    """Run a firewall tool; raises `EngineError` with its first line of complaint when *check*."""
    try:
        done = subprocess.run(
            [find_tool(command[0]), *command[1:]], input=text, capture_output=True, text=True, timeout=_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise EngineError(f"{command[0]} did not finish in {_TIMEOUT:.0f} seconds: is the xtables lock held?") from None
    if done.returncode and check:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip() and not line.startswith("#")]
        reason = said[0] if said else f"status {done.returncode}"
        raise EngineError(f"{' '.join(command[:6])}: {reason}")
    return done.returncode
