"""Tables of plain text."""

from __future__ import annotations

from collections.abc import Sequence

LEAST_WIDTH = 5
GAP = 3


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded with spaces, as wide as their widest cell; each line ends with a line break."""
    lines = [list(header), *[[_one_line(cell) for cell in row] for row in rows]]
    widths = [max(LEAST_WIDTH, *(len(line[column]) + GAP for line in lines)) for column in range(len(header))]
    padded = ("".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "".join(f"{line.rstrip()}\n" for line in padded)


def _one_line(cell: str) -> str:
    return " ".join(cell.split()) if "\n" in cell else cell
