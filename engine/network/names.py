"""Who is called what in user-defined networks: the embedded DNS's data."""

from __future__ import annotations

import random
from collections.abc import Collection

from pymachine.engine.network.base import Endpoint


class NameTable:
    """Names and addresses of live endpoints, by network."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], list[Endpoint]] = {}
        self._addresses: dict[tuple[str, str], Endpoint] = {}

    def add(self, endpoint: Endpoint) -> None:
        """Answer for *endpoint*; nothing for one without names (the default bridge)."""
        if not endpoint.dns_names or not endpoint.ip_address:
            return
        for name in endpoint.dns_names:
            self._names.setdefault((endpoint.network_id, name.lower()), []).append(endpoint)
        self._addresses[endpoint.network_id, endpoint.ip_address] = endpoint

    def remove(self, endpoint: Endpoint) -> None:
        """Answer no longer; fine when it never did."""
        for name in endpoint.dns_names:
            key = (endpoint.network_id, name.lower())
            kept = [e for e in self._names.get(key, []) if e.endpoint_id != endpoint.endpoint_id]
            if kept:
                self._names[key] = kept
            else:
                self._names.pop(key, None)
        key = (endpoint.network_id, endpoint.ip_address)
        if (found := self._addresses.get(key)) and found.endpoint_id == endpoint.endpoint_id:
            del self._addresses[key]

    def clear(self) -> None:
        """Answer for nobody."""
        self._names.clear()
        self._addresses.clear()

    def lookup(self, networks: Collection[Endpoint], name: str) -> list[str]:
        """The addresses of *name* (``web``, or ``web.network``) as seen from the networks of the endpoints
        *networks*, in random order: a name of several containers spreads its callers."""
        found: list[str] = []
        for own in networks:
            candidates = [name]
            if name.endswith(suffix := f".{own.network_name.lower()}"):
                candidates.append(name[: -len(suffix)])
            for candidate in candidates:
                found += [endpoint.ip_address for endpoint in self._names.get((own.network_id, candidate), ())]
        unique = list(dict.fromkeys(found))
        random.shuffle(unique)
        return unique

    def reverse(self, networks: Collection[Endpoint], address: str) -> str | None:
        """The name of *address*, seen from those networks."""
        for own in networks:
            if endpoint := self._addresses.get((own.network_id, address)):
                return f"{endpoint.dns_names[0]}.{endpoint.network_name}"
        return None
