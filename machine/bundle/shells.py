"""The dialects of ``env``: how each shell sets, unsets and comments, and how a value is quoted in it.

Plain strings instead of templates: ``env`` runs in prompts and scripts, so it starts fast.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pymachine.machine.errors import MachineError


@dataclass(frozen=True, slots=True)
class Dialect:
    """One shell's ways. ``{name}``, ``{value}`` (quoted) and ``{command}`` are filled in."""

    assign: str
    unassign: str
    comment: str
    hint: str
    quote: Callable[[str], str]
    join: Callable[[list[str]], str] = " ".join
    separator: str = ""
    """What must end a line before one of another kind, since ``eval $(...)`` makes one line of all."""

    def set(self, name: str, value: str) -> str:
        """The line that sets a variable."""
        return self.assign.format(name=name, value=self.quote(value))

    def unset(self, name: str) -> str:
        """The line that unsets a variable."""
        return self.unassign.format(name=name)

    def lines(self, values: Mapping[str, str | None]) -> list[str]:
        """The lines that set variables, and unset those of value ``None``."""
        found: list[str] = []
        former: bool | None = None
        for name, value in values.items():
            if former not in (None, value is None):
                found[-1] += self.separator
            found.append(self.unset(name) if value is None else self.set(name, value))
            former = value is None
        return found

    def usage(self, argv: list[str]) -> str:
        """The two comment lines that say how to use the output."""
        command = self.join(argv)
        return f"{self.comment} Run this command to configure your shell: \n{self.hint.format(command=command)}"


def _escaped(special: str, mark: str = "\\") -> Callable[[str], str]:
    pattern = re.compile(f"[{re.escape(special)}]")
    return lambda value: f'"{pattern.sub(lambda found: mark + found[0], value)}"'


def _tcsh(value: str) -> str:
    # Inside double quotes a backslash doesn't hide $ and ` in csh; single quotes do. "!" is for interactive
    # lines only, and those read the text before eval does.
    if re.search(r"[$`\"\\]", value):
        return "'" + value.replace("'", "'\\''") + "'"
    return f'"{value}"'


def _elvish(value: str) -> str:
    # Nothing is special between single quotes, and two of them are one (https://elv.sh/ref/language.html).
    return "'" + value.replace("'", "''") + "'"


def _cmd(value: str) -> str:
    # FOR /F puts the line in place after cmd has looked for & | < > ^ and %: a caret would end up in the value.
    return value


def _quoted_program(argv: list[str]) -> str:
    program = f'"{argv[0]}"' if re.search(r"[ \\]", argv[0]) else argv[0]
    return " ".join([program, *argv[1:]])


SH = Dialect("export {name}={value}", "unset {name}", "#", "# eval $({command})", _escaped('\\"$`'), shlex.join, ";")

DIALECTS: Mapping[str, Dialect] = {
    "sh": SH,
    "fish": Dialect(
        "set -gx {name} {value};", "set -e {name};", "#", "# eval ({command})", _escaped('\\"$'), shlex.join
    ),
    "powershell": Dialect(
        "$Env:{name} = {value}",
        "Remove-Item Env:\\\\{name}",
        "#",
        "# & {command} | Invoke-Expression",
        # PowerShell takes typographic quotes for straight ones.
        _escaped('`"$\u201c\u201d\u201e', "`"),
        _quoted_program,
    ),
    "cmd": Dialect(
        "SET {name}={value}",
        "SET {name}=",
        "REM",
        "REM \t@FOR /f \"tokens=*\" %i IN ('{command}') DO @%i",
        _cmd,
        _quoted_program,
    ),
    "tcsh": Dialect("setenv {name} {value};", "unsetenv {name};", ":", ": eval `{command}`", _tcsh, shlex.join),
    "elvish": Dialect(
        "set-env {name} {value}", "unset-env {name}", "#", "# eval ({command} | slurp)", _elvish, shlex.join
    ),
    "emacs": Dialect(
        '(setenv "{name}" {value})',
        '(setenv "{name}" nil)',
        ";;",
        ';; (with-temp-buffer (shell-command "{command}" (current-buffer)) (eval-buffer))',
        _escaped('\\"'),
        _quoted_program,
    ),
}


ALIASES = {"pwsh": "powershell", "csh": "tcsh"}
"""Other programs that speak a dialect."""


def detect(environ: Mapping[str, str]) -> str:
    """The name of the user's shell: ``$SHELL``, as docker-machine has it; without that, as on Windows, the nearest
    process above this one that is a shell."""
    shell = environ.get("SHELL", "")
    name = os.path.basename(shell) if shell else _above()
    if not name:
        raise MachineError(
            "Error: Unknown shell",
            hint="The SHELL environment variable is not set, and none of the processes that started this one is a "
            f"shell: name yours with --shell ({', '.join(DIALECTS)}).",
        )
    return name


def _above() -> str:
    """The shell that this process was started from, directly or not; empty when there is none to be seen."""
    import shellingham

    try:
        return str(shellingham.detect_shell()[0])
    except (OSError, RuntimeError, ImportError):  # no shell, no way to look, or not on this system
        return ""


def dialect(name: str) -> Dialect:
    """A shell's dialect; every shell without one of its own is taken to speak sh's."""
    name = name.lower().removesuffix(".exe")
    return DIALECTS.get(ALIASES.get(name, name), SH)
