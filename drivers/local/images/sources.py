"""Where Debian's packages come from: this computer's own apt sources, so that builds work behind its mirrors.

Formats: sources.list(5), both the one-line and the deb822 style; apt.conf(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pymachine.drivers.local import host

PASSED_ON = re.compile(r"Acquire::(?:https?(?:::[^ ]*)?::(?:Proxy|Ca[^ ]*|Verify[^ ]*)|Check-[^ ]*) ")
"""Settings of this computer's apt that decide whether its mirrors can be reached."""


def debian_sources(suite: str, apt: Path = Path("/etc/apt")) -> str:
    """Sources of a Debian suite, as text for mmdebstrap(1): all in one of the two styles.

    Empty on a computer that has none (one that is not Debian): mmdebstrap's own default serves there.
    """
    stanzas = [stanza for path in _files(apt, ".sources") for stanza in _stanzas(path.read_text(errors="replace"))]
    chosen = [stanza for stanza in stanzas if _fits(_field(stanza, "Suites"), _field(stanza, "Components"), suite)]
    if chosen:
        return "\n\n".join(chosen) + "\n"
    paths = [path for path in (apt / "sources.list",) if path.is_file()] + list(_files(apt, ".list"))
    lines = [line.strip() for path in paths for line in path.read_text(errors="replace").splitlines()]
    chosen = [line for line in lines if _line_fits(line, suite)]
    return "".join(f"{line}\n" for line in chosen)


def apt_options() -> list[str]:
    """This computer's settings for reaching its mirrors, as lines of apt.conf."""
    if host.find("apt-config") is None:
        return []
    dump = host.run(["apt-config", "dump"], check=False).stdout
    return [line for line in dump.splitlines() if PASSED_ON.match(line)]


def _files(apt: Path, suffix: str) -> Iterator[Path]:
    directory = apt / "sources.list.d"
    if directory.is_dir():
        yield from (path for path in sorted(directory.iterdir()) if path.suffix == suffix and path.is_file())


def _stanzas(text: str) -> Iterator[str]:
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", plain):
        types = _field(stanza, "Types").split()
        if "deb" in types and _field(stanza, "Enabled").lower() not in ("no", "false", "0"):
            yield stanza.strip()


def _field(stanza: str, name: str) -> str:
    found = re.search(rf"^{name}:(.*(?:\n[ \t].*)*)", stanza, re.MULTILINE | re.IGNORECASE)
    return found[1].strip() if found else ""


def _line_fits(line: str, suite: str) -> bool:
    found = re.fullmatch(r"deb\s+(?:\[[^]]*\]\s+)?\S+\s+(\S+)\s+(.+)", line)
    return bool(found) and _fits(found[1], found[2], suite)  # type: ignore[index]


def _fits(suites: str, components: str, suite: str) -> bool:
    """Only Debian's own archive names all its suites so and calls its free part ``main``."""
    wanted = {suite, f"{suite}-updates", f"{suite}-security"}
    return bool(suites) and set(suites.split()) <= wanted and "main" in components.split()
