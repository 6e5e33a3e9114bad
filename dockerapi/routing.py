"""Routes: method and path pattern to handler."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from pymachine.dockerapi.messages import Handler

_PLACEHOLDER = re.compile(r"\{(\w+)(\*?)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint. In *pattern*, ``{id}`` matches one path segment and ``{name*}`` any number of them
    (image names hold slashes)."""

    method: str
    pattern: str
    handler: Handler


def _compile(pattern: str) -> re.Pattern[str]:
    parts, position = [], 0
    for match in _PLACEHOLDER.finditer(pattern):
        parts.append(re.escape(pattern[position : match.start()]))
        parts.append(f"(?P<{match[1]}>{'.+' if match[2] else '[^/]+'})")
        position = match.end()
    parts.append(re.escape(pattern[position:]))
    return re.compile("".join(parts) + r"\Z")


@dataclass(slots=True)
class Router:
    """Finds the route for a request: fixed paths by a dictionary, the others in the order added."""

    _fixed: dict[tuple[str, str], Route] = field(default_factory=dict)
    _patterns: list[tuple[re.Pattern[str], Route]] = field(default_factory=list)

    def add(self, *routes: Route) -> None:
        """Add *routes*; the first added wins where two patterns match."""
        for route in routes:
            if "{" in route.pattern:
                self._patterns.append((_compile(route.pattern), route))
            else:
                self._fixed.setdefault((route.method, route.pattern), route)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route for *path* (still percent-encoded) and its parameters, or ``None``."""
        route = self._fixed.get((method, path))
        if route is not None:
            return route, {}
        for pattern, candidate in self._patterns:
            if candidate.method == method and (match := pattern.match(path)):
                return candidate, {name: unquote(value) for name, value in match.groupdict().items()}
        return None
