"""The texts of a container's ``/etc/resolv.conf`` and ``/etc/hosts``: pure functions.

Formats: resolv.conf(5), hosts(5).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from pathlib import Path

FALLBACK_SERVERS = ("8.8.8.8", "8.8.4.4")
"""What Docker gives a container when the host names no server that a container can reach."""
EMBEDDED_SERVER = "127.0.0.11"
"""The address of the embedded server in a container's own namespace (user-defined networks)."""
_STUB = "127.0.0.53"
_RESOLV_CONF = Path("/etc/resolv.conf")
_RESOLVED_CONF = Path("/run/systemd/resolve/resolv.conf")
_STANDARD_HOSTS = (
    ("127.0.0.1", "localhost"),
    ("::1", "localhost ip6-localhost ip6-loopback"),
    ("fe00::", "ip6-localnet"),
    ("ff00::", "ip6-mcastprefix"),
    ("ff02::1", "ip6-allnodes"),
    ("ff02::2", "ip6-allrouters"),
)


def host_resolv_conf() -> str:
    """The host's resolv.conf; where that only names systemd-resolved's stub, the one with the real servers."""
    text = _read(_RESOLV_CONF)
    if _values(text, "nameserver") == [_STUB]:
        text = _read(_RESOLVED_CONF) or text
    return text


def resolv_conf(
    host: str,
    *,
    dns: Sequence[str] = (),
    search: Sequence[str] = (),
    options: Sequence[str] = (),
    embedded: bool = False,
) -> str:
    """A container's resolv.conf: what is given wins over *host* (the host's text), each kind by itself.

    Servers that a container can't reach (loopback; IPv6, which containers don't have) are left out, and
    `FALLBACK_SERVERS` take their place if none remain. A search of ``.`` alone means none. With *embedded*
    the only server is the embedded one, which asks the others.
    """
    servers = [EMBEDDED_SERVER] if embedded else upstreams(host, dns)
    domains = list(search) or [word for value in _values(host, "search") for word in value.split()]
    flags = list(options) or [word for value in _values(host, "options") for word in value.split()]
    if embedded and not any(flag.startswith("ndots:") for flag in flags):
        flags.append("ndots:0")
    lines = [f"nameserver {server}" for server in servers]
    if domains and domains != ["."]:
        lines.append("search " + " ".join(domains))
    if flags:
        lines.append("options " + " ".join(flags))
    return "\n".join(lines) + "\n"


def upstreams(host: str, dns: Sequence[str] = ()) -> list[str]:
    """The name servers to ask: *dns*, or the host's that a container can reach, or the fallbacks."""
    if dns:
        return list(dns)
    return [server for server in _values(host, "nameserver") if _reachable(server)] or list(FALLBACK_SERVERS)


def host_servers() -> list[str]:
    """The name servers that the host itself asks, loopback ones too; the fallbacks if there are none."""
    return _values(_read(_RESOLV_CONF), "nameserver") or list(FALLBACK_SERVERS)


def hosts(entries: Iterable[tuple[str, str]]) -> str:
    """A hosts file: the standard entries, then *entries* (address, names)."""
    return "".join(f"{address}\t{names}\n" for address, names in (*_STANDARD_HOSTS, *entries))


def own_names(hostname: str, domainname: str) -> str:
    """How a container calls itself: full name first, if it has one."""
    if domainname:
        return f"{hostname}.{domainname} {hostname}"
    return f"{hostname} {hostname.split('.')[0]}" if "." in hostname else hostname


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _values(text: str, keyword: str) -> list[str]:
    words = (line.split(None, 1) for line in text.splitlines())
    return [rest[1].split("#")[0].strip() for rest in words if len(rest) == 2 and rest[0] == keyword]


def _reachable(server: str) -> bool:
    try:
        address = ip_address(server.split("%")[0])
    except ValueError:
        return False
    return address.version == 4 and not address.is_loopback
