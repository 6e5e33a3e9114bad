"""What the completion scripts ask while the user types: quick, since it is asked at every press of the key.

``pymachine [-s PATH] __complete names`` looks into the store's directory and nowhere else; no record is read, and no
command line library is imported. Errors are silence: there is nobody to read them.
"""

from __future__ import annotations

import os
import sys

WORD = "__complete"


def answer(argv: list[str]) -> int:
    """Answer the question in *argv* (the program's arguments) on standard output; returns the exit status."""
    position = argv.index(WORD)
    question, rest = argv[position + 1 : position + 2], argv[position + 2 :]
    try:
        lines = _answer(question[0] if question else "", rest, _storage_path(argv[:position]))
    except Exception:
        return 1
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _answer(question: str, rest: list[str], storage_path: str | None) -> list[str]:
    if question == "names":
        return machine_names(storage_path)
    if question == "drivers":
        from pymachine.drivers.registry import names

        return names()
    if question == "flags" and rest:
        return _driver_flags(rest[0])
    return []


def machine_names(storage_path: str | None) -> list[str]:
    """Names of all machines, damaged ones too."""
    from pymachine.store.open import open_store

    return open_store(storage_path, os.environ).names()


def _driver_flags(driver: str) -> list[str]:
    """A driver's flags, each with a tab and its help."""
    from pymachine.drivers.options import describe
    from pymachine.drivers.registry import load

    kind = load(driver)
    return [f"{spec.flag}\t{spec.help}" for spec in describe(kind.name, kind.Options)]


def _storage_path(args: list[str]) -> str | None:
    """The value of the last ``-s PATH``, ``--storage-path PATH`` or ``--storage-path=PATH``."""
    found = None
    for index, arg in enumerate(args):
        flag, separator, value = arg.partition("=")
        if flag in ("-s", "-storage-path", "--storage-path"):
            found = value if separator else (args[index + 1] if index + 1 < len(args) else found)
    return found
