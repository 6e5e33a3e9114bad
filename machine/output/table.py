"""Tables of plain text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

LEAST_WIDTH = 5
GAP = 3


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded with spaces, as wide as their widest cell; each line ends with a line break."""
    return _aligned([list(header), *[[_one_line(cell) for cell in row] for row in rows]])


def columns(text: str) -> str:
    """Lines whose cells are divided by tabs, as a table; not all need the same number of cells."""
    return _aligned([line.split("\t") for line in text.split("\n")])


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(LEAST_WIDTH, *(len(cell) + GAP for cell in column)) for column in zip_longest(*lines, fillvalue="")]
    padded = ("".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)) for line in lines)
    return "".join(f"{line.rstrip()}\n" for line in padded)


def _one_line(cell: str) -> str:
    return " ".join(cell.split()) if "\n" in cell else cell
