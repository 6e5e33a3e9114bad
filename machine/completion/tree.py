"""What can be completed: the commands with their flags and kinds of arguments, read from their definitions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import click

from pymachine.machine.bundle.shells import DIALECTS
from pymachine.machine.certs.keytype import KEY_TYPES
from pymachine.machine.cli.commands import COMMANDS
from pymachine.machine.completion.shells import SHELLS

VALUES: Mapping[str, str] = {
    "--shell": " ".join(DIALECTS),
    "--tls-key-type": " ".join(KEY_TYPES),
    "--format": "json",
    "--filter": "driver= label= name= state= swarm=",
}
"""Words for the values of flags that say nothing of them themselves."""
FILES = re.compile(r"^--(storage-path|tls-(ca|client)-(cert|key)|file|output|.*-file)$")
"""Flags whose values are files."""
ARGUMENTS: Mapping[str, str] = {
    "completion": "words",
    "create": "none",
    "help": "commands",
    "image/build": "none",
    "image/rm": "none",
    "mount": "places",
    "scp": "places",
}
"""What is no machine's name though it is called NAME, and what has no such word."""
WORDS: Mapping[str, str] = {"completion": " ".join(SHELLS)}


@dataclass(frozen=True, slots=True)
class Flag:
    """One option of a command."""

    names: tuple[str, ...]
    help: str
    valued: bool
    values: str = ""
    """Words of its value, or ``@drivers``, ``@files``."""

    @property
    def long(self) -> str:
        """Its first long name, without dashes; empty when it has none."""
        return next((name[2:] for name in self.names if name.startswith("--")), "")

    @property
    def short(self) -> str:
        """Its letter; empty when it has none."""
        return next((name[1] for name in self.names if len(name) == 2), "")


@dataclass(frozen=True, slots=True)
class Node:
    """One command; one of a group has a path with a slash."""

    path: str
    summary: str
    flags: tuple[Flag, ...]
    arguments: str
    """``machines``, ``places`` (on machines or here), ``files``, ``commands``, ``words``, ``subcommands``, ``none``."""
    words: str = ""

    @property
    def name(self) -> str:
        """The last word of the path."""
        return self.path.rpartition("/")[2]

    @property
    def group(self) -> str:
        """What comes before it; empty for the commands of the program."""
        return self.path.rpartition("/")[0]


def nodes() -> list[Node]:
    """All commands, groups before their parts."""
    return [node for name, entry in COMMANDS.items() for node in _walk(name, entry.load(), entry.summary)]


def global_flags(application: click.Command) -> tuple[Flag, ...]:
    """Flags before the command."""
    return _flags(application)


def _walk(path: str, command: click.Command, summary: str) -> Iterator[Node]:
    kind = "subcommands" if isinstance(command, click.Group) else _arguments(path, command)
    yield Node(path, summary, _flags(command), kind, WORDS.get(path, ""))
    if isinstance(command, click.Group):
        for name, part in command.commands.items():
            yield from _walk(f"{path}/{name}", part, _sentence(part.help or ""))


def _arguments(path: str, command: click.Command) -> str:
    if path in ARGUMENTS:
        return ARGUMENTS[path]
    words = " ".join(param.make_metavar(click.Context(command)) for param in command.params if _is_argument(param))
    if re.search(r"\b(NAME|OLD)\b", words):
        return "machines"
    return "files" if re.search(r"FILE|PATH|DIRECTORY", words) else "none"


def _is_argument(param: click.Parameter) -> bool:
    return isinstance(param, click.Argument)


def _flags(command: click.Command) -> tuple[Flag, ...]:
    own = (param for param in command.params if isinstance(param, click.Option) and not param.hidden)
    found = [_flag(param) for param in own]
    return (*found, Flag(("-h", "--help"), "Show help", valued=False)) if command.add_help_option else tuple(found)


def _flag(option: click.Option) -> Flag:
    names = (*option.opts, *option.secondary_opts)
    valued = not (option.is_flag or option.count)
    return Flag(names, _sentence(option.help or ""), valued, _values(option, names) if valued else "")


def _values(option: click.Option, names: tuple[str, ...]) -> str:
    if isinstance(option.type, click.Choice):
        return " ".join(map(str, option.type.choices))
    if "--driver" in names:
        return "@drivers"
    if any(FILES.match(name) for name in names):
        return "@files"
    return next((VALUES[name] for name in names if name in VALUES), "")


def _sentence(text: str) -> str:
    """The first sentence, on one line, without what is in brackets."""
    flat = " ".join(re.sub(r"\[[^\]]*\]", "", text).split())
    return re.split(r"(?<=[^.])[.;:](?:\s|$)", flat)[0].strip()
