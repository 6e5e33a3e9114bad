"""The tables of the drivers' options in ``docs/``, made from their declarations.

``python -m support.optiontables`` (with ``tests`` on the path) writes them anew; a test holds the pages to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pymachine.drivers import registry
from pymachine.drivers.options import OptionSpec, describe

DOCS = Path(__file__).resolve().parents[2] / "docs"
HEAD = "| option | environment | default | |\n|---|---|---|---|\n"
TABLE = re.compile(r"(?<=<!-- made by support\.optiontables -->\n).*?(?=<!-- end -->)", re.DOTALL)


def table(driver: str) -> str:
    """All options of a driver, in the order of their declaration."""
    return HEAD + "".join(_rows(driver))


def _rows(driver: str) -> Iterator[str]:
    for spec in describe(driver, registry.load(driver).Options):
        flag = f"{spec.flag} {_value(spec)}".strip()
        env = f"`{spec.env}`" if spec.env else ""
        text = (spec.help + "; may be repeated" * (spec.type == "list")).replace("|", "\\|")
        cells = (f"`{flag}`", env, _default(spec), text)
        yield "|" + "".join(f" {cell} |" if cell else " |" for cell in cells) + "\n"


def _value(spec: OptionSpec) -> str:
    """What stands after the flag; none after one that is on or off."""
    return {"bool": "", "int": spec.metavar or "N"}.get(spec.type, spec.metavar or "TEXT").replace("|", "\\|")


def _default(spec: OptionSpec) -> str:
    return f"`{spec.default}`" if spec.default and spec.type != "list" else ""


def page(driver: str) -> Path:
    return DOCS / f"{driver}.md"


def write() -> None:
    """Put each table into its page, between the marks."""
    for driver in registry.OURS:
        before, after = TABLE.split(page(driver).read_text(), maxsplit=1)
        page(driver).write_text(before + table(driver) + after)


if __name__ == "__main__":
    write()
