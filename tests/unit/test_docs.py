"""What README and docs/ refer to is there: pages, headings, commands and their flags."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pymachine.machine.cli.commands import ALIASES, COMMANDS
from pymachine.machine.cli.driverflags import flags

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
FENCED = re.compile(r"^ *```(?:sh|console)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`(pymachine [a-z][^`\n|]*)`")


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(CODE.sub("", page.read_text())):
        name, _, anchor = target.partition("#")
        if "://" in target:
            continue
        there = (page.parent / name) if name else page
        if not there.exists() or (anchor and anchor not in headings(there)):
            broken.append(target)

    assert broken == []


def test_the_readme_leads_to_every_page_and_names_every_command() -> None:
    text = (ROOT / "README.md").read_text()
    rows = re.findall(r"^\| (`[^|]+)", text[text.index("## Commands") : text.index("## Drivers")], re.MULTILINE)

    assert [page.name for page in ROOT.glob("docs/*.md") if f"docs/{page.name}" not in text] == []
    assert {word for row in rows for word in re.findall(r"`([a-z][a-z-]*)", row)} == {*COMMANDS}


def commands(page: Path) -> Iterator[list[str]]:
    """The words after ``pymachine`` wherever a page shows it."""
    text = page.read_text()
    for block in FENCED.findall(text):
        console = "\n$ " in f"\n{block}"
        for line in block.replace("\\\n", " ").splitlines():
            if not console or line.startswith("$ "):
                yield from (words(part) for part in re.findall(r"(?:^|[ (])pymachine( -{0,2}[a-z][^|&;)]*)", line))
    yield from (words(line.removeprefix("pymachine")) for line in INLINE.findall(text))


def words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # only a part of a quoted text
        return line.split()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_flags_are_known(page: Path) -> None:
    """Those of drivers too."""
    unknown = []
    for line in commands(page):
        while line and line[0].startswith("-"):  # global flags
            del line[0 : 2 if line[0] == "-s" else 1]
        entry = COMMANDS.get(ALIASES.get(line[0], line[0])) if line else None
        if line and entry is None:
            unknown.append(line[0])
        elif entry is not None:
            unknown += [f"{' '.join(line)}: {flag}" for flag in unknown_flags(entry.load(), line[1:])]

    assert unknown == []


def unknown_flags(command: click.Command, line: list[str]) -> list[str]:
    known = {option for parameter in command.params for option in parameter.opts} | {"-h", "--help"}
    if isinstance(command, click.Group) and line and (child := command.get_command(click.Context(command), line[0])):
        return unknown_flags(child, line[1:])
    if command.name == "create":
        chosen = line[line.index("-d") + 1] if "-d" in line else "local"
        known |= {option for flag in flags("local" if chosen.isupper() else chosen) for option in flag.opts}
    if command.name == "ssh":  # all that follows the name is ssh's
        line = line[:1]
    end = line.index("--") if "--" in line else len(line)
    return [flag for word in line[:end] if (flag := word.partition("=")[0]).startswith("-") and flag not in known]
